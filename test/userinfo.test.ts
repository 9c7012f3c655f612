import { decodeJwt, generateKeyPair, SignJWT } from 'jose';
import tap, { type Test, test } from 'tap';
import { createRevoker } from '../src/tokens/revocation.ts';
import { createBrowser } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { type Answer, get, orders, post, registerClient, registerResource, startIssuer } from './support/issuer.ts';
import { obtainTokens, registerApp, registerUser } from './support/people.ts';
import { exchangeOne, formRequest, request } from './support/wire.ts';

const clock = createTestClock();
const issuer = await startIssuer(tap, { clock, listen: true });
await registerResource(issuer);
const ada = await registerUser(issuer, { emailVerified: true });
const origin = 'https://app.example';
const app = await registerApp(issuer, {
  skipConsent: true,
  origins: [origin],
  grantTypes: ['authorization_code', 'refresh_token'],
});
const browser = createBrowser(issuer);
const tokensFor = async (scope: string, values = {}) =>
  (await obtainTokens(issuer, app, { scope, ...values }, browser)).json;
const { access_token: token, id_token, refresh_token } = await tokensFor('openid profile email');

const bearer = (text: string) => ({ authorization: `Bearer ${text}` });
const ask = (text: string) => get(issuer, '/userinfo', bearer(text));
const revoker = createRevoker({ database: issuer.database, now: clock.now, longestLife: () => 600 });

const invalid =
  'Bearer error="invalid_token", error_description="the access token is expired, revoked or not for this service"';

/** The token with claims or header changed, signed by the issuer's own key: only what it says can be wrong with it. */
function forge(claims: Record<string, unknown>, typ = 'at+jwt', alg = 'ES256'): Promise<string> {
  return issuer.app.keyring.sign(alg, typ, { ...decodeJwt(token), ...claims });
}

test('the same by GET, by POST, and by POST with the token in the form (RFC 6750 §2)', async (t) => {
  const expected = { sub: ada.id, name: 'Ada Lovelace', email: 'ada@example.org', email_verified: true };
  const answers = [
    await ask(token),
    await post(issuer, '/userinfo', '', bearer(token)),
    await post(issuer, '/userinfo', { access_token: token }),
    await get(issuer, '/userinfo', { authorization: `bearer   ${token}` }),
  ];
  for (const { status, json, headers } of answers) {
    t.same({ status, json }, { status: 200, json: expected });
    t.match(headers, { 'content-type': /^application\/json/, 'cache-control': 'no-store' });
  }
  t.equal(decodeJwt(id_token).sub, ada.id, 'sub is the ID token’s (Core §5.3.2)');
  const bare = await exchangeOne(
    issuer,
    request('POST /userinfo', [`Authorization: Bearer ${token}`, 'Content-Length: 0']),
  );
  t.equal(bare.status, 200, 'a POST without a body');
});

test('each scope adds its claims, and no other (Core §5.4)', async (t) => {
  const scopes = {
    openid: ['sub'],
    'openid profile': ['name', 'sub'],
    'openid email': ['email', 'email_verified', 'sub'],
    'openid orders:read': ['sub'],
  };
  for (const [scope, claims] of Object.entries(scopes)) {
    const { json } = await ask((await tokensFor(scope)).access_token);
    t.same(Object.keys(json).sort(), claims, scope);
  }
  const nameless = await registerUser(issuer, { email: 'nameless@example.org', name: null });
  const { json } = await obtainTokens(issuer, app, {}, createBrowser(issuer), nameless.email);
  t.same((await ask(json.access_token)).json, { sub: nameless.id }, 'what is not known is left out');
});

test('without a token the challenge says nothing but its scheme (RFC 6750 §3.1)', async (t) => {
  const attempts = [
    get(issuer, '/userinfo'),
    get(issuer, `/userinfo?access_token=${token}`),
    get(issuer, '/userinfo', { authorization: `Basic ${token}` }),
    get(issuer, '/userinfo', { authorization: 'Bearer' }),
    get(issuer, '/userinfo', { authorization: 'Bearer ' }),
    get(issuer, '/userinfo', { cookie: `access_token=${token}` }),
    post(issuer, '/userinfo', ''),
    post(issuer, '/userinfo', { token }),
    post(issuer, '/userinfo', { access_token: '' }),
  ];
  for (const { status, headers, text } of await Promise.all(attempts)) {
    t.same({ status, challenge: headers['www-authenticate'], text }, { status: 401, challenge: 'Bearer', text: '' });
    t.equal(headers['cache-control'], 'no-store');
  }
});

function refused(t: Test, { status, headers, json }: Answer, why: string): void {
  t.same({ status, challenge: headers['www-authenticate'] }, { status: 401, challenge: invalid }, why);
  t.equal(json.error, 'invalid_token');
}

test('a text that is none of our access tokens is refused', async (t) => {
  const [header = '', payload = '', signature = ''] = token.split('.');
  const write = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const { privateKey } = await generateKeyPair('ES256');
  const decoded = JSON.parse(Buffer.from(header, 'base64url').toString());
  const foreign = new SignJWT(decodeJwt(token)).setProtectedHeader({ ...decoded, alg: 'ES256' });
  const texts: Record<string, string> = {
    garbage: 'garbage',
    'three parts of nothing': 'e30.e30.e30',
    'signs that no token has': 'a b"c',
    'an ID token': id_token,
    'a refresh token': refresh_token,
    'no signature': `${header}.${payload}.`,
    'another signature': `${header}.${payload}.${signature.slice(0, -6)}AAAAAA`,
    'other claims': `${header}.${write({ ...decodeJwt(token), sub: 'user_other' })}.${signature}`,
    'alg none': `${write({ ...decoded, alg: 'none' })}.${payload}.`,
    'another alg': `${write({ ...decoded, alg: 'RS256' })}.${payload}.${signature}`,
    'a symmetric alg': `${write({ ...decoded, alg: 'HS256' })}.${payload}.${signature}`,
    'a kid of nobody': `${write({ ...decoded, kid: 'nobody' })}.${payload}.${signature}`,
    'a key that it brings along': await foreign.sign(privateKey),
    'a second spelling': `${header}.${payload}.${signature}=`,
    'a long text': 'x'.repeat(10_000),
  };
  for (const [why, text] of Object.entries(texts)) refused(t, await ask(text), why);
  for (const [why, text] of Object.entries(texts))
    refused(t, await post(issuer, '/userinfo', { access_token: text }), `${why}, in the form`);
});

test('a token of ours is refused where what it says is not right', async (t) => {
  const now = clock.now();
  t.equal((await ask(await forge({}))).status, 200, 'as it was, it is right');
  const tokens: Record<string, Promise<string>> = {
    'another issuer': forge({ iss: 'https://evil.example' }),
    'another audience': forge({ aud: orders.identifier }),
    'no audience': forge({ aud: undefined }),
    'one like ours': forge({ aud: `${issuer.issuer}/` }),
    'over this second': forge({ exp: now }),
    'no end': forge({ exp: undefined }),
    'not begun': forge({ iat: now + 6 }),
    'no type': forge({}, ''),
    'the type of an ID token': forge({}, 'JWT'),
    'nobody’s': forge({ sub: 'user_nobody' }),
    'a client’s own': forge({ sub: app.id }),
  };
  for (const [why, text] of Object.entries(tokens)) refused(t, await ask(await text), why);
});

test('a token for another resource service alone is refused', async (t) => {
  refused(t, await ask((await tokensFor('orders:read')).access_token), 'of a person');
  const machine = await registerClient(issuer);
  const { json } = await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: machine.basic });
  refused(t, await ask(json.access_token), 'of a machine');
});

test('a token that is for us and does not say openid is not enough: 403', async (t) => {
  const { status, headers, json } = await ask(await forge({ scope: 'profile email' }));
  t.equal(status, 403);
  t.equal(
    headers['www-authenticate'],
    'Bearer error="insufficient_scope", error_description="the token has no scope openid"',
  );
  t.equal(json.error, 'insufficient_scope');
});

test('a token that is sent twice is refused: 400', async (t) => {
  const twice = await post(issuer, '/userinfo', { access_token: token }, bearer(token));
  t.match(twice, { status: 400, json: { error: 'invalid_request' } });
  t.match(twice.headers['www-authenticate'], /^Bearer error="invalid_request", error_description="[^"]+"$/);
  const repeated = await post(issuer, '/userinfo', `access_token=${token}&access_token=${token}`);
  t.match(repeated, { status: 400, json: { error: 'invalid_request' } });
  const line = `Authorization: Bearer ${token}`;
  const headers = await exchangeOne(issuer, formRequest('/userinfo', '', [line, line]));
  t.equal(headers.status, 400);
});

test('what was ended is refused', async (t) => {
  const ended: Record<string, (tokens: Record<string, string>) => Promise<unknown>> = {
    'the grant': async ({ refresh_token: text = '' }) => revoker.endGrant(String(decodeJwt(text).gid), 'test'),
    'the session': async ({ id_token: text = '' }) => revoker.endSession(String(decodeJwt(text).sid), 'test'),
    'a role of the person': () => issuer.database.query('UPDATE "user" SET epoch = 1 WHERE id = $1', [ada.id]),
    'the person': () => issuer.database.query('DELETE FROM "user" WHERE id = $1', [ada.id]),
  };
  for (const [what, end] of Object.entries(ended)) {
    const tokens = await tokensFor('openid');
    t.equal((await ask(tokens.access_token)).status, 200);
    await end(tokens);
    await issuer.app.refresh();
    refused(t, await ask(tokens.access_token), what);
  }
});

test('pages of registered origins may ask, with the header that this takes; others may not', async (t) => {
  const preflight = (from: string) =>
    issuer.app.server.inject({
      method: 'OPTIONS',
      url: '/userinfo',
      headers: {
        origin: from,
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'authorization',
      },
    });
  const asked = await preflight(origin);
  t.equal(asked.statusCode, 204);
  t.equal(asked.headers['access-control-allow-origin'], origin);
  t.match(asked.headers['access-control-allow-headers'], /Authorization/);
  t.match(asked.headers['access-control-allow-methods'], /GET.*POST/);

  for (const text of [token, 'garbage']) {
    const { headers } = await get(issuer, '/userinfo', { ...bearer(text), origin });
    t.equal(headers['access-control-allow-origin'], origin, 'errors may be read too');
    t.equal(headers['access-control-expose-headers'], 'WWW-Authenticate');
    t.notOk(headers['access-control-allow-credentials'], 'cookies never come along');
    t.match(headers.vary, /Origin/);
  }
  for (const other of ['https://evil.example', 'https://app.example.evil.example', 'http://app.example', 'null', '*']) {
    t.notOk((await preflight(other)).headers['access-control-allow-origin'], other);
    t.notOk(
      (await get(issuer, '/userinfo', { ...bearer(token), origin: other })).headers['access-control-allow-origin'],
    );
  }
});
