import { decodeJwt, decodeProtectedHeader } from 'jose';
import tap, { type Test, test } from 'tap';
import { createBrowser } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import {
  type Answer,
  background,
  get,
  orders,
  post,
  registerClient,
  registerResource,
  startIssuer,
  updateClient,
} from './support/issuer.ts';
import { obtainTokens, registerApp, registerUser } from './support/people.ts';

const clock = createTestClock();
const issuer = await startIssuer(tap, { clock });
await registerResource(issuer);
await registerUser(issuer);
const origin = 'https://app.example';
const values = { grantTypes: ['authorization_code', 'refresh_token'], skipConsent: true, origins: [origin] };
const app = await registerApp(issuer, values);
const other = await registerApp(issuer, values);
const machine = await registerClient(issuer, { serves: [orders.identifier] });
const browser = createBrowser(issuer);

type Caller = { basic: string };

const tokens = async (client = app) =>
  (await obtainTokens(issuer, client, { scope: 'openid orders:read' }, browser)).json;
const machineToken = async () =>
  (await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: machine.basic })).json
    .access_token;
const revoke = (token: string, client: Caller = app, form = {}) =>
  post(issuer, '/revoke', { token, ...form }, { authorization: client.basic });
const refresh = (token: string, client: Caller = app) =>
  post(issuer, '/token', { grant_type: 'refresh_token', refresh_token: token }, { authorization: client.basic });

/** Nothing is read anew for this: what was answered has to be in force. */
const isActive = async (token: string) =>
  (await post(issuer, '/introspect', { token }, { authorization: machine.basic })).json.active;
const userinfo = async (token: string) => (await get(issuer, '/userinfo', { authorization: `Bearer ${token}` })).status;

const written = () =>
  issuer.database.query<{ digest: string; expires_at: Date; client_id: string | null }>(
    'SELECT digest, expires_at, client_id FROM revocation ORDER BY id',
  );

/** How many were written since then: house-keeping may take away others meanwhile. */
async function writtenSince(before: Awaited<ReturnType<typeof written>>): Promise<number> {
  const known = new Set(before.map(({ digest }) => digest));
  return (await written()).filter(({ digest }) => !known.has(digest)).length;
}

/** What an instance reads by itself when it hears of a change. */
const takenIn = /FROM revocation WHERE id >/;

/** What a request sent to the database, transactions' own statements among them. */
async function statementsOf(work: () => Promise<unknown>): Promise<string[]> {
  await issuer.app.refresh(); // so that nothing is left to be read or turned
  const before = issuer.statements.length;
  await work();
  return issuer.statements.slice(before).filter((text) => !background.test(text) && !takenIn.test(text));
}

/** The answer of RFC 7009 §2.2, and what it wrote. */
async function answered(t: Test, ask: () => Promise<Answer>, rows: number, why: string): Promise<void> {
  const before = await written();
  const { status, text, headers } = await ask();
  t.same({ status, text, cache: headers['cache-control'] }, { status: 200, text: '', cache: 'no-store' }, why);
  t.equal(await writtenSince(before), rows, why);
}

test('an access token is void by itself, when the answer comes (RFC 7009 §2)', async (t) => {
  const { access_token, refresh_token } = await tokens();
  t.same([await userinfo(access_token), await isActive(access_token)], [200, true]);
  await answered(t, () => revoke(access_token), 1, 'it is written down');
  t.same([await userinfo(access_token), await isActive(access_token)], [401, false]);
  const { status, json } = await refresh(refresh_token);
  t.equal(status, 200, 'the grant stays');
  t.same([await userinfo(json.access_token), await isActive(json.access_token)], [200, true]);
});

test('a refresh token ends its grant, with every access token of it (RFC 7009 §2.1)', async (t) => {
  const { access_token: first, refresh_token } = await tokens();
  const { json: next } = await refresh(refresh_token);
  await answered(t, () => revoke(next.refresh_token), 1, 'one entry for all of it');
  for (const token of [first, next.access_token]) t.same([await userinfo(token), await isActive(token)], [401, false]);
  for (const token of [refresh_token, next.refresh_token]) {
    t.match(await refresh(token), { status: 400, json: { error: 'invalid_grant' } });
  }
});

test('a refresh token that was replaced ends its grant as well', async (t) => {
  const { refresh_token } = await tokens();
  const { json: next } = await refresh(refresh_token);
  await answered(t, () => revoke(refresh_token), 1, 'who shows it has had the grant');
  t.match(await refresh(next.refresh_token), { status: 400 });
  t.equal(await userinfo(next.access_token), 401);
});

test('a client’s own token without a person', async (t) => {
  const token = await machineToken();
  t.equal(await isActive(token), true);
  await answered(t, () => revoke(token, machine), 1, 'void');
  t.equal(await isActive(token), false);
  t.equal(await isActive(await machineToken()), true, 'the next one is another');
});

test('revoked again, or many times at once, it is written down once', async (t) => {
  const { access_token, refresh_token } = await tokens();
  const before = await written();
  const answers = await Promise.all(Array.from({ length: 10 }, () => revoke(access_token)));
  answers.push(await revoke(access_token));
  t.ok(answers.every(({ status }) => status === 200));
  t.equal(await writtenSince(before), 1);
  const ends = await Promise.all(Array.from({ length: 10 }, () => revoke(refresh_token)));
  t.ok(ends.every(({ status }) => status === 200));
  t.equal(await writtenSince(before), 2);
});

test('an entry lives until the token has died everywhere, and no longer', async (t) => {
  const { access_token } = await tokens();
  await revoke(access_token);
  const [entry] = (await written()).slice(-1);
  t.equal(entry?.expires_at.getTime(), (Number(decodeJwt(access_token).exp) + 11) * 1000);
});

test('the token of another client is nobody else’s to revoke', async (t) => {
  const { access_token, refresh_token, id_token } = await tokens();
  for (const client of [other, machine]) {
    for (const token of [access_token, refresh_token, id_token])
      await answered(t, () => revoke(token, client), 0, 'nothing');
  }
  t.same([await userinfo(access_token), await isActive(access_token)], [200, true]);
  t.equal((await refresh(refresh_token)).status, 200);
});

test('what is unknown, expired, malformed or forged is 200, and nothing is written (RFC 7009 §2.2)', async (t) => {
  const { access_token, refresh_token, id_token } = await tokens();
  const [header = '', payload = '', signature = ''] = access_token.split('.');
  const write = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const forge = (claims: object, typ = 'at+jwt') =>
    issuer.app.keyring.sign('ES256', typ, { ...decodeJwt(access_token), ...claims });
  const texts: Record<string, string> = {
    'a word': 'garbage',
    'of the shape of one': 'e30.e30.e30',
    'no signature': `${header}.${payload}.`,
    'alg none': `${write({ ...decodeProtectedHeader(access_token), alg: 'none' })}.${payload}.`,
    'a symmetric alg': `${write({ ...decodeProtectedHeader(access_token), alg: 'HS256' })}.${payload}.${signature}`,
    'another spelling': `${header}.${payload}.${signature}=`,
    'a space behind it': `${access_token} `,
    'claims of its own': `${header}.${write({ ...decodeJwt(access_token), jti: 'another' })}.${signature}`,
    'another issuer’s': await forge({ iss: 'https://evil.example' }),
    expired: await forge({ exp: clock.now() }),
    'an access token that calls itself a refresh token': await forge({}, 'rt+jwt'),
    'a logout token': await forge({ aud: app.id }, 'logout+jwt'),
    'a code': `code_${'a'.repeat(22)}.${'b'.repeat(43)}`,
    'a jti': String(decodeJwt(access_token).jti),
    'longer than any token': `${'x'.repeat(20_000)}`,
    'as long as a body may be': `${access_token}.${'x'.repeat(60_000)}`,
    'its name in SQL': "' OR 1=1 --",
  };
  for (const [why, text] of Object.entries(texts)) await answered(t, () => revoke(text), 0, why);
  t.same([await userinfo(access_token), await isActive(access_token)], [200, true]);
  t.match(await revoke('x'.repeat(70_000)), { status: 413 });

  const last = id_token;
  t.match(await revoke(last), { status: 400, json: { error: 'unsupported_token_type' } }, 'an ID token (§2.2.1)');
  clock.advance(601);
  await answered(t, () => revoke(access_token), 0, 'expired since');
  t.equal((await refresh(refresh_token)).status, 200);
});

test('token_type_hint is only a hint (RFC 7009 §2.1)', async (t) => {
  for (const token_type_hint of ['refresh_token', 'access_token', 'id_token', 'nonsense', '']) {
    const { access_token, refresh_token } = await tokens();
    await answered(t, () => revoke(access_token, app, { token_type_hint }), 1, token_type_hint);
    await answered(t, () => revoke(refresh_token, app, { token_type_hint }), 1, token_type_hint);
  }
});

test('who does not say who it is revokes nothing (RFC 7009 §2.1)', async (t) => {
  const { access_token: token } = await tokens();
  const before = await written();
  const form = { token, client_id: app.id };
  const refused: [Promise<Answer>, number, string][] = [
    [post(issuer, '/revoke', { token }), 400, 'invalid_client'],
    [post(issuer, '/revoke', form), 400, 'invalid_client'],
    [post(issuer, '/revoke', { ...form, client_secret: app.secret }), 400, 'invalid_client'],
    [post(issuer, '/revoke', { token }, { authorization: `${app.basic}AA` }), 401, 'invalid_client'],
    [post(issuer, '/revoke', { token }, { authorization: `Bearer ${token}` }), 401, 'invalid_client'],
    [post(issuer, '/revoke', form, { authorization: other.basic }), 400, 'invalid_request'],
    [post(issuer, '/revoke', {}, { authorization: app.basic }), 400, 'invalid_request'],
    [post(issuer, '/revoke', 'token=a&token=b', { authorization: app.basic }), 400, 'invalid_request'],
    [post(issuer, `/revoke?token=${token}`, '', { authorization: app.basic }), 400, 'invalid_request'],
  ];
  for (const [answer, status, error] of refused) t.match(await answer, { status, json: { error } });
  t.equal((await get(issuer, '/revoke')).status, 405);
  t.equal(await writtenSince(before), 0);
  t.equal(await isActive(token), true);
});

test('a public client says its client_id, and revokes its own tokens alone', async (t) => {
  const native = await registerApp(issuer, { ...values, authMethod: 'none', secretDigests: [] });
  const { code, verifier } = await obtainTokens(issuer, { ...native, basic: '' }, {}, browser);
  const redeemed = await post(issuer, '/token', {
    grant_type: 'authorization_code',
    client_id: native.id,
    code,
    code_verifier: verifier,
    redirect_uri: 'https://app.example/callback',
  });
  const { access_token, refresh_token } = redeemed.json;
  const { access_token: theirs } = await tokens();
  await answered(t, () => post(issuer, '/revoke', { client_id: native.id, token: theirs }), 0, 'not its own');
  await answered(t, () => post(issuer, '/revoke', { client_id: native.id, token: access_token }), 1, 'its own');
  await answered(t, () => post(issuer, '/revoke', { client_id: native.id, token: refresh_token }), 1, 'its own grant');
  t.same([await userinfo(theirs), await userinfo(access_token)], [200, 401]);
});

test('a disabled client revokes nothing', async (t) => {
  const gone = await registerApp(issuer, values);
  const { access_token } = await tokens(gone);
  await updateClient(issuer.database, gone.id, async () => ({ disabledAt: clock.now() }));
  await issuer.app.refresh();
  t.match(await revoke(access_token, gone), { status: 401, json: { error: 'invalid_client' } });
});

test('pages of registered origins may revoke, others may not (RFC 7009 §2.3)', async (t) => {
  const { access_token } = await tokens();
  const ask = (from: string) =>
    post(issuer, '/revoke', { token: access_token }, { authorization: app.basic, origin: from });
  t.equal((await ask(origin)).headers['access-control-allow-origin'], origin);
  t.notOk((await ask('https://evil.example')).headers['access-control-allow-origin']);
});

test('the log says which token was revoked, and holds none', async (t) => {
  const { access_token, refresh_token } = await tokens();
  const from = issuer.log.length;
  await revoke(access_token);
  await revoke(refresh_token);
  const lines = issuer.log.slice(from);
  t.match(
    lines.filter(({ msg }) => /revoked/.test(String(msg))),
    [
      { msg: 'token revoked', client: app.id, jti: decodeJwt(access_token).jti },
      { msg: 'grant revoked', client: app.id },
    ],
  );
  const said = JSON.stringify(lines);
  for (const secret of [access_token, refresh_token, decodeJwt(refresh_token).gid]) t.notOk(said.includes(secret));
});

test('what it costs: a transaction for what is the client’s, nothing for anything else', async (t) => {
  const { access_token, refresh_token } = await tokens();
  const inTransaction = (statements: string[]) => statements.filter((text) => !/^(BEGIN|COMMIT)/.test(text)).length;
  const first = await statementsOf(() => revoke(access_token));
  t.equal(inTransaction(first), 4);
  t.equal((await statementsOf(() => revoke(access_token))).length, 0, 'again');
  t.equal((await statementsOf(() => revoke(refresh_token, other))).length, 0, 'another client’s');
  t.equal((await statementsOf(() => revoke('garbage'))).length, 0, 'none of ours');
  t.equal(inTransaction(await statementsOf(() => revoke(refresh_token))), 4);
});

test('of one client a thousand single tokens are void at a time: for more it comes back later', async (t) => {
  const busy = await registerClient(issuer);
  await issuer.database.query(
    `INSERT INTO revocation (digest, expires_at, reason, client_id)
     SELECT lpad(n::text, 22, 'A'), to_timestamp($2::float8 + n), 'test', $1 FROM generate_series(1, 1000) AS n`,
    [busy.id, clock.now()],
  );
  const token = async () =>
    (await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: busy.basic })).json
      .access_token;
  const [first, second] = [await token(), await token()];
  const { status, headers, json } = await revoke(first, busy);
  t.match({ status, headers, json }, { status: 429, headers: { 'retry-after': '1' }, json: { error: String } });
  t.equal(await isActive(first), true, 'and says the truth: it is not revoked');
  await answered(t, async () => revoke(await machineToken(), machine), 1, 'others are not held up');
  clock.advance(1);
  await answered(t, () => revoke(first, busy), 1, 'one has made room');
  t.match(await revoke(second, busy), { status: 429 });
});
