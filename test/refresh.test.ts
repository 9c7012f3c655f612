import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose';
import { type Test, test } from 'tap';
import { createBrowser } from './support/browser.ts';
import {
  type Answer,
  background,
  get,
  orders,
  post,
  registerResource,
  startIssuer,
  type TestIssuer,
  updateClient,
} from './support/issuer.ts';
import {
  authorizePath,
  newVerifier,
  obtainTokens,
  redeem,
  registerApp,
  registerUser,
  signIn,
} from './support/people.ts';

const scope = 'openid profile orders:read orders:write';
const grantTypes = ['authorization_code', 'refresh_token'];

async function start(t: Test, values = {}) {
  const issuer = await startIssuer(t);
  await registerResource(issuer);
  const user = await registerUser(issuer);
  const app = await registerApp(issuer, { grantTypes, ...values });
  const browser = createBrowser(issuer);
  const { json } = await obtainTokens(issuer, app, { scope }, browser);
  return { issuer, user, app, browser, first: json };
}

function refresh(issuer: TestIssuer, app: { basic: string }, token: string, values = {}): Promise<Answer> {
  const form = { grant_type: 'refresh_token', refresh_token: token, ...values };
  return post(issuer, '/token', form, { authorization: app.basic });
}

const generationOf = (token: string) => decodeJwt(token).gen;

/** Lets the grace for repeated requests pass, by the clock that counts: the database's. */
async function passGrace(issuer: TestIssuer): Promise<void> {
  await issuer.database.query(`UPDATE "grant" SET rotated_at = rotated_at - interval '11 seconds'`);
}

async function alive(issuer: TestIssuer, accessToken: string): Promise<boolean> {
  await issuer.app.refresh();
  return (await get(issuer, '/userinfo', { authorization: `Bearer ${accessToken}` })).status === 200;
}

test('each use gives the next refresh token, by one statement', async (t) => {
  const { issuer, app, user, first } = await start(t);
  const before = issuer.statements.length;
  const { status, json } = await refresh(issuer, app, first.refresh_token);
  t.equal(status, 200);
  const sent = issuer.statements.slice(before).filter((text) => !background.test(text));
  t.equal(sent.length, 1);
  t.equal(generationOf(json.refresh_token), Number(generationOf(first.refresh_token)) + 1);
  t.match(decodeJwt(json.id_token), { sub: user.id, auth_time: decodeJwt(first.id_token).auth_time });
  t.equal(decodeJwt(json.id_token).nonce, undefined);
  const keys = createLocalJWKSet((await get(issuer, '/.well-known/jwks.json')).json);
  await jwtVerify(json.access_token, keys, { audience: orders.identifier, typ: 'at+jwt' });
});

test('a repeated request within the grace gets the same generation again, and moves nothing', async (t) => {
  const { issuer, app, first } = await start(t);
  const { json: second } = await refresh(issuer, app, first.refresh_token);
  for (let time = 0; time < 3; time += 1) {
    const { status, json } = await refresh(issuer, app, first.refresh_token);
    t.equal(status, 200);
    t.equal(generationOf(json.refresh_token), generationOf(second.refresh_token));
  }
  t.equal((await refresh(issuer, app, second.refresh_token)).status, 200, 'there is one lineage');
});

test('reuse after the grace ends the grant and voids what it gave', async (t) => {
  const { issuer, app, first } = await start(t);
  const { json: second } = await refresh(issuer, app, first.refresh_token);
  await passGrace(issuer);
  t.match(await refresh(issuer, app, first.refresh_token), { status: 400, json: { error: 'invalid_grant' } });
  t.equal(await alive(issuer, first.access_token), false);
  t.equal(await alive(issuer, second.access_token), false);
  t.match(await refresh(issuer, app, second.refresh_token), { status: 400 }, 'the live one too');
});

test('two generations behind is reuse, grace or not', async (t) => {
  const { issuer, app, first } = await start(t);
  const { json: second } = await refresh(issuer, app, first.refresh_token);
  await refresh(issuer, app, second.refresh_token);
  t.match(await refresh(issuer, app, first.refresh_token), { status: 400 });
  t.equal(await alive(issuer, second.access_token), false);
});

test('fifty uses at once leave one lineage, and nobody gets a 5xx', async (t) => {
  const { issuer, app, first } = await start(t);
  const answers = await Promise.all(Array.from({ length: 50 }, () => refresh(issuer, app, first.refresh_token)));
  t.ok(answers.every(({ status }) => status === 200));
  const generations = new Set(answers.map(({ json }) => generationOf(json.refresh_token)));
  t.same([...generations], [2]);
  t.equal((await refresh(issuer, app, answers[17]?.json.refresh_token)).status, 200);
});

test('a generation ahead of the row, lost by a failover, is accepted and moves the row on', async (t) => {
  const { issuer, app, first } = await start(t);
  const { json: second } = await refresh(issuer, app, first.refresh_token);
  const { json: third } = await refresh(issuer, app, second.refresh_token);
  await issuer.database.query('UPDATE "grant" SET generation = 1');
  const { status, json } = await refresh(issuer, app, third.refresh_token);
  t.equal(status, 200);
  t.equal(generationOf(json.refresh_token), Number(generationOf(third.refresh_token)) + 1);
});

test('only its own client may use it, and another that tries ends nothing', async (t) => {
  const { issuer, app, first } = await start(t);
  const other = await registerApp(issuer, { grantTypes });
  t.match(await refresh(issuer, other, first.refresh_token), { status: 400, json: { error: 'invalid_grant' } });
  t.equal((await refresh(issuer, app, first.refresh_token)).status, 200);
});

test('scope narrows in the access token alone, and never widens', async (t) => {
  const { issuer, app, first } = await start(t);
  const { json } = await refresh(issuer, app, first.refresh_token, { scope: 'orders:read' });
  t.equal(json.scope, 'orders:read');
  t.equal(json.id_token, undefined, 'no ID token without openid');
  const { json: full } = await refresh(issuer, app, json.refresh_token);
  t.equal(full.scope, scope, 'the refresh token keeps the full scope');
  t.match(await refresh(issuer, app, full.refresh_token, { scope: 'admin' }), { json: { error: 'invalid_scope' } });
});

test('a confidential client added so keeps its refresh token; a public one never does', async (t) => {
  const { issuer, app, first } = await start(t, { refreshRotates: false });
  const { json } = await refresh(issuer, app, first.refresh_token);
  t.equal(generationOf(json.refresh_token), generationOf(first.refresh_token));
  await passGrace(issuer);
  t.equal((await refresh(issuer, app, first.refresh_token)).status, 200);
  await updateClient(issuer.database, app.id, async () => ({ authMethod: 'none', secretDigests: [] }));
  await issuer.app.refresh();
  const form = { grant_type: 'refresh_token', client_id: app.id, refresh_token: first.refresh_token };
  const { json: rotated } = await post(issuer, '/token', form);
  t.equal(generationOf(rotated.refresh_token), Number(generationOf(first.refresh_token)) + 1);
});

test('what ends a sign-in ends its refresh tokens', async (t) => {
  const ends: Record<string, string> = {
    'the user is disabled': 'UPDATE "user" SET disabled_at = now()',
    'the user is signed out everywhere': 'UPDATE "user" SET epoch = 1, grant_epoch = 1',
    'the user is gone': 'DELETE FROM "user"',
    'the session is over': `UPDATE session SET expires_at = now() - interval '1 second'`,
    'the grant is over': `UPDATE "grant" SET expires_at = now() - interval '1 second'`,
    'nobody has used it for long': `UPDATE "grant" SET rotated_at = now() - interval '16 days'`,
  };
  const { issuer, app } = await start(t);
  for (const [name, act] of Object.entries(ends)) {
    const user = await registerUser(issuer, { email: `${name.replaceAll(' ', '.')}@example.org` });
    const { json } = await obtainTokensOf(issuer, app, user.email);
    await issuer.database.query(act);
    t.match(await refresh(issuer, app, json.refresh_token), { status: 400, json: { error: 'invalid_grant' } }, name);
  }
});

test('what ends a client counts as the database has it, also where an instance has not read it yet', async (t) => {
  const { issuer, app, browser, first } = await start(t);
  for (const act of ['disabled_at = now()', 'epoch = 1, grant_epoch = 1']) {
    const { verifier, challenge } = newVerifier();
    const { left } = await signIn(browser, authorizePath(app.id, challenge, { scope }));
    const code = left?.searchParams.get('code') ?? '';
    await issuer.database.query(`UPDATE client SET ${act}`);
    const refused = { status: 400, json: { error: 'invalid_grant' } };
    t.match(await refresh(issuer, app, first.refresh_token), refused, act);
    t.match(await redeem(issuer, app, code, verifier), refused, act);
    await issuer.database.query('UPDATE client SET disabled_at = NULL, epoch = 0, grant_epoch = 0');
  }
  t.equal((await refresh(issuer, app, first.refresh_token)).status, 200, 'and nothing was used up by that');
});

async function obtainTokensOf(issuer: TestIssuer, app: { id: string; basic: string }, email: string) {
  const browser = createBrowser(issuer);
  return obtainTokens(issuer, app, { scope, login_hint: email }, browser, email);
}

test('no other token passes as a refresh token, and it passes as no other', async (t) => {
  const { issuer, app, first } = await start(t);
  for (const token of [first.access_token, first.id_token, 'garbage', `${first.refresh_token}x`]) {
    t.match(await refresh(issuer, app, token), { status: 400, json: { error: 'invalid_grant' } });
  }
  t.equal(await alive(issuer, first.refresh_token), false);
  t.equal((await refresh(issuer, app, first.refresh_token)).status, 200);
});

test('a slip in what is asked for costs the client nothing', async (t) => {
  const { issuer, app, first } = await start(t);
  for (const slip of [{ scope: 'admin' }, { resource: 'https://other.example' }, { scope: 'a  b' }]) {
    const { status, json } = await refresh(issuer, app, first.refresh_token, slip);
    t.equal(status, 400);
    t.match(json.error, /^invalid_(scope|target)$/);
  }
  await passGrace(issuer);
  t.equal((await refresh(issuer, app, first.refresh_token)).status, 200);
});
