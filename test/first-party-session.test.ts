import { decodeJwt } from 'jose';
import { type Test, test } from 'tap';
import { digestSecret } from '../src/crypto/handle.ts';
import type { Client } from '../src/protocol/client.ts';
import { get, orders, post, registerClient, registerResource, startIssuer, type TestIssuer } from './support/issuer.ts';
import { password, registerUser } from './support/people.ts';

const origin = 'http://app.localhost:4000';

const firstParty: Partial<Client> = {
  name: 'Shop',
  firstParty: true,
  authMethod: 'none',
  secretDigests: [],
  origins: [origin],
  grantTypes: ['refresh_token'],
  scopes: ['openid', 'orders:read'],
};

async function start(t: Test, settings = {}, values: Partial<Client> = {}) {
  const issuer = await startIssuer(t, { settings });
  await registerResource(issuer);
  const user = await registerUser(issuer);
  const client = await registerClient(issuer, { ...firstParty, ...values });
  return { issuer, user, client };
}

interface Called {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
  json: any;
  headers: Record<string, unknown>;
  cookies: Record<string, Record<string, unknown>>;
}

/** Calls as a page of `origin` does; undefined leaves a header out. */
async function call(
  issuer: TestIssuer,
  method: 'POST' | 'DELETE' | 'OPTIONS',
  path: string,
  { body, jar = {}, ...headers }: { body?: unknown; jar?: Record<string, string> } & Record<string, unknown> = {},
): Promise<Called> {
  const sent = { origin, 'sec-fetch-site': 'same-site', ...(headers as Record<string, string | undefined>) };
  const given = Object.entries(sent).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const response = await issuer.app.server.inject({
    method,
    url: path,
    headers: Object.fromEntries(given),
    cookies: jar,
    ...(body !== undefined && { payload: body as object }),
  });
  const cookies = Object.fromEntries(response.cookies.map((cookie) => [cookie.name, { ...cookie }]));
  const json = response.payload === '' ? undefined : JSON.parse(response.payload);
  return { status: response.statusCode, json, headers: response.headers, cookies };
}

const credentials = { email: 'Ada@Example.org', password };

/** Signs in, and answers the cookies as a browser would send them back. */
async function signIn(issuer: TestIssuer) {
  const called = await call(issuer, 'POST', '/session', { body: credentials });
  return { ...called, jar: jarOf(called) };
}

function jarOf({ cookies }: Called): Record<string, string> {
  return Object.fromEntries(Object.entries(cookies).map(([name, { value }]) => [name, String(value)]));
}

test('a JSON call signs in, with tokens in cookies that no script reads', async (t) => {
  const { issuer, client, user } = await start(t);
  const { status, json, cookies, headers, jar } = await signIn(issuer);
  t.equal(status, 200);
  t.same(Object.keys(json).sort(), ['csrf_token', 'expires_in', 'scope']);
  t.match(cookies[`kt-${client.id}`], { httpOnly: true, sameSite: 'Strict', path: '/' });
  t.match(cookies[`kt-refresh-${client.id}`], { httpOnly: true, sameSite: 'Strict', path: '/session' });
  t.match(headers, { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true' });
  t.equal(headers['cache-control'], 'no-store');

  const token = jar[`kt-${client.id}`] ?? '';
  t.match(decodeJwt(token), { sub: user.id, client_id: client.id, aud: [orders.identifier, issuer.issuer] });
  t.equal(decodeJwt(token).csrf, digestSecret(json.csrf_token));
  t.equal((await get(issuer, '/userinfo', { authorization: `Bearer ${token}` })).status, 200);
  t.equal(await issuer.database.prisma.session.count(), 0, 'it is no session that other apps share');
});

test('on https the cookies are Secure, and the access token goes where the operator said', async (t) => {
  const settings = { ISSUER: 'https://id.example.org' };
  const { issuer, client } = await start(t, settings, { cookieDomain: 'example.org' });
  const { cookies } = await call(issuer, 'POST', '/session', { body: credentials, host: 'id.example.org' });
  t.match(cookies[`__Secure-kt-${client.id}`], { secure: true, domain: 'example.org' });
  const refresh = cookies[`__Secure-kt-refresh-${client.id}`];
  t.match(refresh, { secure: true, path: '/session' });
  t.equal(refresh?.domain, undefined, 'the refresh token goes to the issuer alone');
});

test('a refresh needs the cookie and its CSRF value, and gives the next of both', async (t) => {
  const { issuer, client } = await start(t);
  const { json, jar } = await signIn(issuer);
  for (const headers of [{}, { 'x-csrf-token': 'wrong' }]) {
    const { status } = await call(issuer, 'POST', '/session/refresh', { jar, ...headers });
    t.ok(status === 400 || status === 403);
  }
  const next = await call(issuer, 'POST', '/session/refresh', { jar, 'x-csrf-token': json.csrf_token });
  t.equal(next.status, 200);
  t.not(next.json.csrf_token, json.csrf_token);
  const token = String(next.cookies[`kt-refresh-${client.id}`]?.value);
  t.equal(decodeJwt(token).gen, 2);
  const again = await call(issuer, 'POST', '/session/refresh', { jar: jarOf(next), 'x-csrf-token': json.csrf_token });
  t.equal(again.status, 400, 'the old value does not go with the new token');
});

test('its refresh token works nowhere else', async (t) => {
  const { issuer, client } = await start(t);
  const { jar } = await signIn(issuer);
  const form = {
    grant_type: 'refresh_token',
    client_id: client.id,
    refresh_token: jar[`kt-refresh-${client.id}`] ?? '',
  };
  t.match(await post(issuer, '/token', form), { status: 400, json: { error: 'invalid_grant' } });
});

test('DELETE ends the grant, voids its tokens and clears the cookies', async (t) => {
  const { issuer, client } = await start(t);
  const { json, jar } = await signIn(issuer);
  t.equal((await call(issuer, 'DELETE', '/session', { jar })).status, 403, 'not without the CSRF value');
  const ended = await call(issuer, 'DELETE', '/session', { jar, 'x-csrf-token': json.csrf_token });
  t.equal(ended.status, 204);
  t.same(
    Object.values(ended.cookies).map(({ value }) => value),
    ['', ''],
  );
  await issuer.app.refresh();
  t.equal((await get(issuer, '/userinfo', { authorization: `Bearer ${jar[`kt-${client.id}`]}` })).status, 401);
  t.equal((await call(issuer, 'POST', '/session/refresh', { jar, 'x-csrf-token': json.csrf_token })).status, 400);
});

test('pages of other origins, other sites and no origin at all are refused', async (t) => {
  const { issuer, client } = await start(t);
  const foreign = [
    { origin: 'https://evil.example' },
    { origin: undefined },
    { origin: 'null' },
    { origin: `${origin}.evil.example` },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'none' },
  ];
  for (const headers of foreign) {
    const {
      status,
      cookies,
      headers: answered,
    } = await call(issuer, 'POST', '/session', { body: credentials, ...headers });
    t.equal(status, 403, JSON.stringify(headers));
    t.same(cookies, {});
    if (headers.origin !== undefined) t.equal(answered['access-control-allow-origin'], undefined);
  }
  await registerClient(issuer, { name: 'Third party', origins: ['https://third.example'] });
  t.equal((await call(issuer, 'POST', '/session', { body: credentials, origin: 'https://third.example' })).status, 403);
  t.ok(client.id);
});

test('with two first-party clients on one origin, client_id says which', async (t) => {
  const { issuer, client } = await start(t);
  const other = await registerClient(issuer, { ...firstParty, name: 'Other' });
  t.match(await call(issuer, 'POST', '/session', { body: credentials }), {
    status: 400,
    json: { error: 'invalid_request' },
  });
  const { cookies } = await call(issuer, 'POST', '/session', { body: { ...credentials, client_id: other.id } });
  t.ok(cookies[`kt-${other.id}`]);
  t.equal(cookies[`kt-${client.id}`], undefined);
});

test('wrong passwords and malformed bodies get the right 4xx and no cookie', async (t) => {
  const { issuer } = await start(t);
  const bad: [unknown, number][] = [
    [{ ...credentials, password: 'wrong password' }, 403],
    [{ email: 'nobody@example.org', password }, 403],
    [{ email: 'ada@example.org' }, 400],
    [{ email: 1, password: {} }, 400],
    [[], 400],
    ['{"email":', 400],
    ['{"__proto__":{"email":"x"}}', 400],
    [`{"email":"${'x'.repeat(5000)}"}`, 413],
  ];
  for (const [body, status] of bad) {
    const called = await call(issuer, 'POST', '/session', { body, 'content-type': 'application/json' });
    t.equal(called.status, status, JSON.stringify(body).slice(0, 60));
    t.same(called.cookies, {});
  }
  const form = await call(issuer, 'POST', '/session', { body: 'email=a', 'content-type': 'text/plain' });
  t.equal(form.status, 400, 'a form that any site could post is not taken');
});

test('browsers may ask first', async (t) => {
  const { issuer } = await start(t);
  const { status, headers } = await call(issuer, 'OPTIONS', '/session');
  t.equal(status, 204);
  t.match(headers['access-control-allow-methods'], /DELETE/);
  t.match(headers['access-control-allow-headers'], /X-CSRF-Token/);
  t.equal(headers['access-control-allow-credentials'], 'true');
});
