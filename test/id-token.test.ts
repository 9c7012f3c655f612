import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose';
import tap, { test } from 'tap';
import { addRole } from '../src/store/role.ts';
import { createBrowser } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { get, orders, post, registerClient, registerResource, startIssuer } from './support/issuer.ts';
import { authorizePath, newVerifier, redeem, registerApp, registerUser, signIn } from './support/people.ts';

const clock = createTestClock();
const issuer = await startIssuer(tap, { clock });
await registerResource(issuer);
/** Knows the scopes that ask for roles. */
const staff = await registerResource(issuer, {
  identifier: 'https://staff.example',
  scopes: { roles: '', permissions: '', 'staff:read': '' },
  alg: 'RS256',
});
for (const [name, permissions] of Object.entries({ clerk: ['order.read', 'order.pack'], boss: ['order.read', 'pay'] }))
  await addRole(issuer.database, { name, permissions });
const ada = await registerUser(issuer, { roles: ['clerk', 'boss', 'gone'] });
const newcomer = await registerUser(issuer, { email: 'new@example.org', roles: [] });
const scopes = ['openid', 'profile', 'email', 'orders:read', 'roles', 'permissions', 'staff:read'];
const resources = [orders.identifier, staff.identifier];
const app = await registerApp(issuer, { skipConsent: true, scopes, resources });
const browser = createBrowser(issuer);
const { verifier, challenge } = newVerifier();

type Changes = Record<string, string | undefined>;

/** The answer of the token endpoint to a request with these changes. */
async function tokens(changes: Changes = {}, atToken: Record<string, string> = {}, client = app, of = browser) {
  const { left } = await signIn(of, authorizePath(client.id, challenge, changes));
  return (await redeem(issuer, client, left?.searchParams.get('code') ?? '', verifier, atToken)).json;
}

async function verify(token: string, audience: string) {
  const keys = createLocalJWKSet((await get(issuer, '/.well-known/jwks.json')).json);
  return jwtVerify(token, keys, { issuer: issuer.issuer, audience, currentDate: new Date(clock.now() * 1000) });
}

await tokens();
const signedInAt = clock.now();
clock.advance(600);

test('an ID token says who signed in where, when and how, and nothing else (Core §2)', async (t) => {
  const { id_token } = await tokens({ scope: 'openid profile email roles', max_age: '10000' });
  const { payload, protectedHeader } = await verify(id_token, app.id);
  t.same(Object.keys(protectedHeader).sort(), ['alg', 'kid', 'typ']);
  t.match(protectedHeader, { alg: 'RS256', typ: 'JWT' }, 'RS256 where nobody said otherwise');
  const { sid, ...claims } = payload;
  t.same(claims, {
    iss: issuer.issuer,
    sub: ada.id,
    aud: app.id,
    iat: clock.now(),
    exp: clock.now() + 600,
    auth_time: signedInAt,
    nonce: 'the nonce',
    amr: ['pwd'],
  });
  t.equal(sid, browser.cookies.get('kt_session')?.replace(/\..*/, ''), 'sid is the session’s id');
});

test('the nonce is there where it was sent, as it was sent', async (t) => {
  for (const nonce of ['n', 'Zoë "🔑"', 'x'.repeat(2_000), undefined, '']) {
    const { id_token } = await tokens({ nonce });
    t.equal(decodeJwt(id_token).nonce, nonce || undefined);
    t.equal('nonce' in decodeJwt(id_token), Boolean(nonce));
  }
});

test('a client may have ES256', async (t) => {
  const other = await registerApp(issuer, { skipConsent: true, scopes, resources, idTokenAlg: 'ES256' });
  const { id_token } = await tokens({}, {}, other);
  t.match((await verify(id_token, other.id)).protectedHeader, { alg: 'ES256', typ: 'JWT' });
});

test('without openid there is no ID token, and userinfo answers nothing', async (t) => {
  const { id_token, access_token, scope } = await tokens({ scope: 'profile orders:read' });
  t.same({ id_token, scope }, { id_token: undefined, scope: 'profile orders:read' });
  t.equal((await get(issuer, '/userinfo', { authorization: `Bearer ${access_token}` })).status, 401);
  const narrowed = await tokens({ scope: 'openid orders:read' }, { scope: 'orders:read' });
  t.equal(narrowed.id_token, undefined, 'also where the client narrows what it has');
});

test('the access token of a person has the claims of RFC 9068 and ours that say something', async (t) => {
  const { payload, protectedHeader } = await verify(
    (await tokens({ scope: 'openid orders:read' })).access_token,
    orders.identifier,
  );
  t.match(protectedHeader, { alg: 'ES256', typ: 'at+jwt' });
  const { jti, gid, ...claims } = payload;
  t.match({ jti, gid }, { jti: /^[\w-]{36}$/, gid: /^[\w-]{22}$/ });
  t.same(claims, {
    iss: issuer.issuer,
    sub: ada.id,
    aud: [orders.identifier, issuer.issuer],
    client_id: app.id,
    iat: clock.now(),
    exp: clock.now() + 600,
    scope: 'openid orders:read',
    auth_time: signedInAt,
    amr: ['pwd'],
  });
});

test('aud is the resource; with openid the issuer too; without a resource the issuer alone', async (t) => {
  const audienceOf = async (changes: Changes, atToken?: Record<string, string>, client = app) =>
    decodeJwt((await tokens(changes, atToken, client)).access_token).aud;
  t.same(await audienceOf({ scope: 'orders:read' }), orders.identifier);
  t.same(await audienceOf({ scope: 'openid' }), [orders.identifier, issuer.issuer]);
  t.same(await audienceOf({ scope: 'openid', resource: staff.identifier }), [staff.identifier, issuer.issuer]);
  t.same(await audienceOf({ scope: 'staff:read' }, { resource: staff.identifier }), staff.identifier);
  const alone = await registerApp(issuer, { skipConsent: true, resources: [], scopes: ['openid', 'email'] });
  t.same(await audienceOf({ scope: 'openid email' }, {}, alone), issuer.issuer);
});

test('an audience that was not granted is refused', async (t) => {
  const { error } = await tokens({ resource: orders.identifier }, { resource: staff.identifier });
  t.equal(error, 'invalid_target');
});

test('roles and permissions go to a resource service that knows the scope, when it is asked for', async (t) => {
  const scope = 'openid roles permissions staff:read orders:read';
  const claimsOf = async (changes: Changes, atToken?: Record<string, string>) =>
    decodeJwt((await tokens(changes, atToken)).access_token);
  const all = await claimsOf({ scope, resource: staff.identifier });
  t.match(all, { roles: ['clerk', 'boss', 'gone'], scope: 'openid roles permissions staff:read' });
  t.same((all.permissions as string[]).sort(), ['order.pack', 'order.read', 'pay'], 'each once');

  const without = [
    await claimsOf({ scope, resource: orders.identifier }),
    await claimsOf({ scope: 'openid staff:read', resource: staff.identifier }),
    await claimsOf({ scope, resource: staff.identifier }, { scope: 'staff:read' }),
  ];
  for (const claims of without) t.notMatch(Object.keys(claims).join(), /roles|permissions/, String(claims.scope));
  const roles = await claimsOf({ scope: 'roles', resource: staff.identifier });
  t.match(roles, { roles: Array });
  t.notOk('permissions' in roles);
});

test('who has no role has no claim that says so', async (t) => {
  const other = createBrowser(issuer);
  await signIn(other, authorizePath(app.id, challenge), newcomer);
  const scope = 'roles permissions';
  const { access_token } = await tokens({ scope, resource: staff.identifier }, {}, app, other);
  const claims = decodeJwt(access_token);
  t.notOk('roles' in claims || 'permissions' in claims);
});

test('a machine has neither roles nor anything of a person', async (t) => {
  const machine = await registerClient(issuer, { scopes: [...scopes], resources: [staff.identifier] });
  const { json } = await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: machine.basic });
  const claims = decodeJwt(json.access_token);
  t.same(Object.keys(claims).sort(), ['aud', 'client_id', 'exp', 'iat', 'iss', 'jti', 'scope', 'sub']);
  t.match(claims, { sub: machine.id, aud: staff.identifier, scope: 'roles permissions staff:read' });
  t.notOk('id_token' in json || 'refresh_token' in json);
});
