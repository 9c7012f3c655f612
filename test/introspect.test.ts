import { decodeJwt, decodeProtectedHeader } from 'jose';
import tap, { test } from 'tap';
import { disable, endSignIns } from '../src/protocol/user.ts';
import { createRevoker } from '../src/tokens/revocation.ts';
import { createBrowser } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import {
  type Answer,
  background,
  basic,
  get,
  orders,
  post,
  registerClient,
  registerResource,
  startIssuer,
} from './support/issuer.ts';
import { obtainTokens, registerApp, registerUser } from './support/people.ts';

const clock = createTestClock();
const issuer = await startIssuer(tap, { clock });
await registerResource(issuer);
const staff = await registerResource(issuer, { identifier: 'https://staff.example', scopes: { roles: '' } });
const ada = await registerUser(issuer);
const app = await registerApp(issuer, {
  grantTypes: ['authorization_code', 'refresh_token'],
  skipConsent: true,
  scopes: ['openid', 'profile', 'email', 'orders:read', 'roles'],
  resources: [orders.identifier, staff.identifier],
});
const stranger = await registerApp(issuer, { grantTypes: ['authorization_code', 'refresh_token'], skipConsent: true });
const ordersApi = await registerClient(issuer, { serves: [orders.identifier] });
const staffApi = await registerClient(issuer, { serves: [staff.identifier] });
const browser = createBrowser(issuer);
const revoker = createRevoker({ database: issuer.database, now: clock.now, longestLife: () => 600 });

type Caller = { basic: string };

const tokens = async (scope: string, values = {}) =>
  (await obtainTokens(issuer, app, { scope, ...values }, browser)).json;
const introspect = (token: string, client: Caller = app, form = {}) =>
  post(issuer, '/introspect', { token, ...form }, { authorization: client.basic });
const refresh = (token: string) =>
  post(issuer, '/token', { grant_type: 'refresh_token', refresh_token: token }, { authorization: app.basic });

/** The one answer for whatever is not active for who asks (RFC 7662 §2.2). */
const nothing = { status: 200, text: '{"active":false}' };
const answerOf = ({ status, text }: Answer) => ({ status, text });

async function statementsOf(work: () => Promise<unknown>): Promise<number> {
  await issuer.app.refresh(); // so that nothing is left to be read or turned
  const before = issuer.statements.length;
  await work();
  return issuer.statements.slice(before).filter((text) => !background.test(text)).length;
}

test('an active access token says what it is, by its own claims (RFC 7662 §2.2)', async (t) => {
  const { access_token: token } = await tokens('openid orders:read');
  const { status, json, headers } = await introspect(token);
  const claims = decodeJwt(token);
  t.same({ status, json }, { status: 200, json: { active: true, token_type: 'Bearer', ...claims } });
  t.match(json, {
    scope: 'openid orders:read',
    client_id: app.id,
    sub: ada.id,
    aud: [orders.identifier, issuer.issuer],
    iss: issuer.issuer,
    exp: claims.iat && claims.iat + 600,
    iat: clock.now(),
    jti: String,
  });
  t.match(headers, { 'cache-control': 'no-store', 'content-type': /^application\/json/ });
});

test('it is active for its own client and for who serves its audience, and for nobody else', async (t) => {
  const forOrders = (await tokens('openid orders:read')).access_token;
  const forStaff = (await tokens('roles', { resource: staff.identifier })).access_token;
  const forUs = (await tokens('openid', { resource: undefined })).access_token;
  const cases: [string, Caller, boolean][] = [
    [forOrders, app, true],
    [forOrders, ordersApi, true],
    [forOrders, staffApi, false],
    [forOrders, stranger, false],
    [forStaff, app, true],
    [forStaff, staffApi, true],
    [forStaff, ordersApi, false],
    [forUs, app, true],
  ];
  for (const [token, client, active] of cases) {
    const answer = await introspect(token, client);
    if (active) t.equal(answer.json.active, true);
    else t.same(answerOf(answer), nothing);
  }
  const machineToken = await post(
    issuer,
    '/token',
    { grant_type: 'client_credentials' },
    { authorization: ordersApi.basic },
  );
  const { json } = await introspect(machineToken.json.access_token, ordersApi);
  t.match(json, { active: true, sub: ordersApi.id, client_id: ordersApi.id });
});

test('the username is there where userinfo would say it for the token', async (t) => {
  const usernameOf = async (scope: string) =>
    (await introspect((await tokens(scope)).access_token, ordersApi)).json.username;
  t.equal(await usernameOf('openid email orders:read'), 'ada@example.org');
  for (const scope of ['openid orders:read', 'openid profile orders:read', 'email orders:read']) {
    t.equal(await usernameOf(scope), undefined, scope);
  }
});

test('a refresh token is active for its client alone, while it is the newest of a grant that stands', async (t) => {
  const { refresh_token: first } = await tokens('openid orders:read');
  const { iss, aud, sub, client_id, iat, exp } = decodeJwt(first);
  const answer = await introspect(first);
  t.same(
    answer.json,
    { active: true, scope: 'openid orders:read', iss, aud, sub, client_id, iat, exp },
    'no gid, and no token_type by which a service could take it for an access token',
  );
  for (const client of [ordersApi, stranger]) t.same(answerOf(await introspect(first, client)), nothing);

  const { json: next } = await refresh(first);
  t.same(answerOf(await introspect(first)), nothing, 'it was replaced');
  t.equal((await introspect(next.refresh_token)).json.active, true);
  await post(issuer, '/revoke', { token: next.refresh_token }, { authorization: app.basic });
  t.same(answerOf(await introspect(next.refresh_token)), nothing, 'its grant has ended');
});

test('what was ended is inactive, and says nothing more than what never was', async (t) => {
  const acts: Record<string, (tokens: { refresh_token: string; access_token: string }) => Promise<unknown>> = {
    'revoked by its client': ({ access_token: token, refresh_token }) =>
      Promise.all(
        [token, refresh_token].map((one) => post(issuer, '/revoke', { token: one }, { authorization: app.basic })),
      ),
    'its person signed out everywhere': () => revoker.changeUser(ada.id, endSignIns, 'test'),
    'its person disabled': async () => {
      await revoker.changeUser(ada.id, (user) => disable(user, clock.now()), 'test');
      await revoker.changeUser(ada.id, () => ({ disabledAt: null }), 'test');
    },
    'its grant used by two': async ({ refresh_token }) => {
      await refresh((await refresh(refresh_token)).json.refresh_token);
      await refresh(refresh_token);
    },
    'its life over': async () => clock.advance(31 * 86_400),
  };
  for (const [why, act] of Object.entries(acts)) {
    const given = (await obtainTokens(issuer, app, { scope: 'openid orders:read' }, createBrowser(issuer))).json;
    t.equal((await introspect(given.access_token, ordersApi)).json.active, true, `before: ${why}`);
    await act(given);
    await issuer.app.refresh();
    for (const client of [app, ordersApi]) t.same(answerOf(await introspect(given.access_token, client)), nothing, why);
    t.same(answerOf(await introspect(given.refresh_token)), nothing, why);
  }
});

test('what is no token of ours is inactive', async (t) => {
  const { access_token: token, id_token } = (
    await obtainTokens(issuer, app, { scope: 'openid orders:read' }, createBrowser(issuer))
  ).json;
  const [header = '', payload = '', signature = ''] = token.split('.');
  const write = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const forge = (claims: object, typ = 'at+jwt') =>
    issuer.app.keyring.sign('ES256', typ, { ...decodeJwt(token), ...claims });
  t.equal((await introspect(await forge({}))).json.active, true, 'as it was, it is active');
  const texts: Record<string, string> = {
    garbage: 'garbage',
    'an ID token': id_token,
    'a logout token': await forge({ aud: app.id }, 'logout+jwt'),
    'an access token that says it refreshes': await forge({}, 'rt+jwt'),
    'no signature': `${header}.${payload}.`,
    'alg none': `${write({ ...decodeProtectedHeader(token), alg: 'none' })}.${payload}.`,
    'another spelling': `${header}.${payload}.${signature}=`,
    'another issuer’s': await forge({ iss: 'https://evil.example' }),
    'from the future': await forge({ iat: clock.now() + 6 }),
    'over this second': await forge({ exp: clock.now() }),
    'without an end': await forge({ exp: undefined }),
    'longer than any token': 'x'.repeat(20_000),
  };
  for (const [why, text] of Object.entries(texts)) t.same(answerOf(await introspect(text)), nothing, why);
});

test('who cannot prove who it is gets 401, whatever it asks of (RFC 7662 §2.1, §2.3)', async (t) => {
  const { access_token: token } = (
    await obtainTokens(issuer, app, { scope: 'openid orders:read' }, createBrowser(issuer))
  ).json;
  const native = await registerApp(issuer, { authMethod: 'none', secretDigests: [] });
  const refused = [
    post(issuer, '/introspect', { token }),
    post(issuer, '/introspect', { token, client_id: native.id }),
    post(issuer, '/introspect', { token, client_id: app.id }),
    post(issuer, '/introspect', { token, client_id: app.id, client_secret: app.secret }),
    post(issuer, '/introspect', { token }, { authorization: `Bearer ${token}` }),
    introspect(token, { basic: basic(app.id, 'wrong') }),
    introspect(token, { basic: basic('client_nobody', app.secret) }),
    introspect('garbage', { basic: basic('client_nobody', app.secret) }),
  ];
  const answers = await Promise.all(refused);
  for (const { status, json, headers } of answers) {
    t.match(
      { status, json, headers },
      { status: 401, json: { error: 'invalid_client' }, headers: { 'www-authenticate': /^Basic / } },
    );
  }
  t.equal(new Set(answers.map(({ text }) => text)).size, 1, 'all in the same words');
  t.match(await introspect('', app), { status: 400, json: { error: 'invalid_request' } });
  t.match(await post(issuer, '/introspect', 'token=a&token=b', { authorization: app.basic }), { status: 400 });
  t.equal((await get(issuer, `/introspect?token=${token}`, { authorization: app.basic })).status, 405);
  t.notOk(
    (await post(issuer, '/introspect', { token }, { origin: 'https://app.example', authorization: app.basic })).headers[
      'access-control-allow-origin'
    ],
    'it is nothing for a page',
  );
});

test('token_type_hint is only a hint (RFC 7662 §2.1)', async (t) => {
  const given = (await obtainTokens(issuer, app, { scope: 'openid orders:read' }, createBrowser(issuer))).json;
  for (const token_type_hint of ['refresh_token', 'access_token', 'nonsense']) {
    for (const token of [given.access_token, given.refresh_token]) {
      t.equal((await introspect(token, app, { token_type_hint })).json.active, true, token_type_hint);
    }
  }
});

test('what it costs: nothing for an access token, one statement for a username or a refresh token', async (t) => {
  const given = (await obtainTokens(issuer, app, { scope: 'openid email orders:read' }, createBrowser(issuer))).json;
  const { json: narrow } = await post(
    issuer,
    '/token',
    { grant_type: 'refresh_token', refresh_token: given.refresh_token, scope: 'orders:read' },
    { authorization: app.basic },
  );
  t.equal(await statementsOf(() => introspect(narrow.access_token, ordersApi)), 0);
  t.equal(await statementsOf(() => introspect(given.access_token, ordersApi)), 1);
  t.equal(await statementsOf(() => introspect(given.access_token, stranger)), 0);
  t.equal(await statementsOf(() => introspect(narrow.refresh_token)), 1);
  t.equal(await statementsOf(() => introspect(narrow.refresh_token, stranger)), 0);
  t.equal(await statementsOf(() => introspect('garbage')), 0);
});
