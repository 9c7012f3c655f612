/** What a service answers behind each adapter: the same to the same request. */
import { createVerifier } from '@keyturn/verifier';
import { t as file, type Test, test } from 'tap';
import { addRole } from '../src/store/role.ts';
import { orders, post, registerClient, registerResource, startIssuer } from './support/issuer.ts';
import { password, registerUser } from './support/people.ts';
import { eventually } from './support/process.ts';
import { adapters, ask, type ServiceAnswer } from './support/services.ts';

const issuer = await startIssuer(file, { listen: true });
await registerResource(issuer, { scopes: { ...orders.scopes, roles: '', permissions: '' } });
await registerResource(issuer, { ...orders, identifier: 'https://mail.example' });
await addRole(issuer.database, { name: 'clerk', permissions: ['orders:read', 'orders:refund'] });
await registerUser(issuer, { roles: ['clerk'] });
const machine = await registerClient(issuer, { resources: [orders.identifier, 'https://mail.example'] });
const origin = 'http://app.localhost:4000';
const shop = await registerClient(issuer, {
  ...{ name: 'Shop', firstParty: true, authMethod: 'none', secretDigests: [], origins: [origin] },
  ...{ grantTypes: ['refresh_token'], scopes: ['orders:read', 'roles', 'permissions'] },
});

/** Milliseconds by which the services' clock is ahead. */
let ahead = 0;
const verifier = createVerifier({
  issuer: issuer.issuer,
  audience: orders.identifier,
  now: () => Date.now() + ahead,
});
file.teardown(() => verifier.close());

/** An access token of the machine's. */
async function machineToken(values: Record<string, string> = {}): Promise<string> {
  const form = { grant_type: 'client_credentials', ...values };
  return (await post(issuer, '/token', form, { authorization: machine.basic })).json.access_token;
}

/** A person in the first-party app: the cookie's value, and what goes beside it. */
async function signIn(): Promise<{ token: string; csrf: string }> {
  const { cookies, payload } = await issuer.app.server.inject({
    method: 'POST',
    url: '/session',
    headers: { origin },
    payload: { email: 'ada@example.org', password },
  });
  const { value: token = '' } = cookies.find(({ name }) => name === `kt-${shop.id}`) ?? {};
  return { token, csrf: JSON.parse(payload).csrf_token };
}

const metadata = { scopes_supported: ['orders:read', 'orders:write'], resource_name: 'Orders' };
const ports = await Promise.all(
  Object.entries(adapters).map(async ([name, start]) => ({
    name,
    plain: await start(file, { verifier }),
    full: await start(file, { verifier, cookie: shop.id, metadata }),
  })),
);
const [good, person] = [await machineToken(), await signIn()];
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const cookie = (token: string, name = `kt-${shop.id}`) => ({ cookie: `${name}=${token}` });

type Sent = Parameters<typeof ask>[2];

/** Asks each service; what they answer has to be the same, and is returned once. */
async function askAll(t: Test, kind: 'plain' | 'full', path: string, sent: Sent = {}): Promise<ServiceAnswer> {
  const answers = await Promise.all(ports.map((service) => ask(service[kind], path, sent)));
  const [first, ...others] = answers.map(({ status, headers, body }) => {
    const names = ['www-authenticate', 'cache-control', 'retry-after', 'access-control-allow-origin'] as const;
    const type = headers['content-type']?.split(';')[0];
    const compared = Object.fromEntries(names.map((name) => [name, headers[name]]));
    return status === 404 ? { status } : { status, headers: { ...compared, type }, body };
  });
  for (const [at, other] of others.entries()) t.same(other, first, `${ports[at + 1]?.name}: as ${ports[0]?.name}`);
  return answers[0] as ServiceAnswer;
}

/** Asks each service, and looks for a refusal. */
async function refused(t: Test, sent: Sent, status: number, challenge: string | undefined, path = '/orders') {
  const answer = await askAll(t, 'plain', path, sent);
  t.equal(answer.status, status, JSON.stringify(sent));
  t.equal(answer.headers['www-authenticate'], challenge);
  t.equal(answer.headers['cache-control'], 'no-store');
  return answer;
}

test('a good token is let through, with its claims', async (t) => {
  for (const path of ['/me', '/orders', '/both']) {
    t.match(await askAll(t, 'plain', path, bearer(good)), { status: 200, body: JSON.stringify({ sub: machine.id }) });
  }
  t.equal(
    (await askAll(t, 'plain', '/me', { authorization: `bearer   ${good}` })).status,
    200,
    'the scheme in any case',
  );
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD']) {
    t.equal((await askAll(t, 'plain', '/orders', { method, ...bearer(good) })).status, 200, method);
  }
});

test('without a token the challenge says nothing but the scheme', async (t) => {
  const without: Sent[] = [
    {},
    { authorization: machine.basic },
    { authorization: 'Bearerish x' },
    { authorization: '' },
  ];
  for (const sent of without) {
    const { body } = await refused(t, sent, 401, 'Bearer');
    t.equal(body, '');
  }
  for (const method of ['HEAD', 'OPTIONS', 'POST']) await refused(t, { method }, 401, 'Bearer');
});

test('a token anywhere but in the header is no token', async (t) => {
  await refused(t, {}, 401, 'Bearer', `/orders?access_token=${good}`);
  for (const sent of [
    cookie(good),
    cookie(person.token),
    { 'x-access-token': good },
    { 'proxy-authorization': `Bearer ${good}` },
  ])
    await refused(t, sent, 401, 'Bearer');
});

test('what is not one token in one place is a malformed request', async (t) => {
  const description = 'the request must carry one access token, in one place';
  const malformed = [
    [`Bearer ${good}`, `Bearer ${good}`],
    [`Bearer ${good}`, machine.basic],
    'Bearer',
    `Bearer ${good}, Bearer ${good}`,
    `Bearer ${good} ${good}`,
    `Bearer \t${good}`,
    `Bearer "${good}"`,
    `Bearer token=${good},`,
  ];
  for (const authorization of malformed) {
    const challenge = `Bearer error="invalid_request", error_description="${description}"`;
    const { body, headers } = await refused(t, { authorization }, 400, challenge);
    t.same(JSON.parse(body), { error: 'invalid_request', error_description: description });
    t.match(headers['content-type'], /^application\/json/);
  }
});

test('a token that does not verify: 401, and the reason in words of ours', async (t) => {
  const invalid = (why: string) => `Bearer error="invalid_token", error_description="${why}"`;
  const [head = '', claims = '', signature = ''] = good.split('.');
  const changed = `${signature[0] === 'A' ? 'B' : 'A'}${signature.slice(1)}`;
  const refusals: [string, string][] = [
    ['x', 'the token is not a well-formed access token'],
    [`${good}=`, 'the token is not a well-formed access token'],
    [`${head}.${claims}.`, 'the token is not a well-formed access token'],
    [`${head}.${claims}.${changed}`, 'the signature does not match'],
    [await machineToken({ resource: 'https://mail.example' }), 'the token is for another service'],
  ];
  for (const [token, why] of refusals) {
    const { body } = await refused(t, bearer(token), 401, invalid(why));
    t.same(JSON.parse(body), { error: 'invalid_token', error_description: why });
    t.notMatch(body, claims, 'nothing of what was sent');
  }
  ahead = 700_000;
  await refused(t, bearer(good), 401, invalid('the token has expired'));
  ahead = 0;
});

test('a revoked token is refused from one request to the next', async (t) => {
  const token = await machineToken();
  t.equal((await askAll(t, 'plain', '/orders', bearer(token))).status, 200);
  await post(issuer, '/revoke', { token }, { authorization: machine.basic });
  const [{ plain } = { plain: 0 }] = ports;
  await eventually(async () => (await ask(plain, '/orders', bearer(token))).status === 401);
  await refused(t, bearer(token), 401, 'Bearer error="invalid_token", error_description="the token has been revoked"');
});

test('a token that may not do this: 403, with the scope that it takes', async (t) => {
  const narrow = await machineToken({ scope: 'orders:write' });
  const lacks = (what: string, more = '') =>
    `Bearer error="insufficient_scope", error_description="the token lacks a ${what}"${more}`;
  await refused(t, bearer(narrow), 403, lacks('scope', ', scope="orders:read"'));
  await refused(t, bearer(narrow), 403, lacks('scope', ', scope="orders:read orders:write"'), '/both');
  await refused(t, bearer(good), 403, lacks('role'), '/staff');
  await refused(t, bearer(good), 403, lacks('permission'), '/refunds');
  for (const path of ['/staff', '/refunds', '/orders'])
    t.equal((await askAll(t, 'plain', path, bearer(person.token))).status, 200, path);
});

test('the first-party cookie is taken where asked, and changes nothing without its CSRF value', async (t) => {
  const sent = cookie(person.token);
  for (const method of ['GET', 'HEAD', 'OPTIONS'])
    t.equal((await askAll(t, 'full', '/orders', { method, ...sent })).status, 200, method);
  t.equal((await askAll(t, 'full', '/staff', { cookie: `a=b; kt-${shop.id}=${person.token}; c` })).status, 200);
  const other = await signIn();
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
    const good = await askAll(t, 'full', '/orders', { method, ...sent, 'x-csrf-token': person.csrf });
    t.equal(good.status, 200, method);
    const wrong: Record<string, string | string[]>[] = [
      {},
      { 'x-csrf-token': '' },
      { 'x-csrf-token': 'wrong' },
      { 'x-csrf-token': other.csrf },
      { 'x-csrf-token': [person.csrf, person.csrf] },
    ];
    for (const headers of wrong) {
      const { status, body } = await askAll(t, 'full', '/orders', { method, ...sent, ...headers });
      t.equal(status, 403, `${method} ${JSON.stringify(headers)}`);
      t.equal(JSON.parse(body).error, 'invalid_request');
    }
  }
});

test('who may set cookies for a neighbouring host gets nobody signed in as themselves', async (t) => {
  const { token, csrf } = person;
  const twice = { cookie: `kt-${shop.id}=${good}; kt-${shop.id}=${token}` };
  t.equal((await askAll(t, 'full', '/orders', twice)).status, 400);
  t.equal((await askAll(t, 'full', '/orders', { cookie: [`kt-${shop.id}=${token}`, `kt-${shop.id}=x`] })).status, 400);
  const unbound = { method: 'POST', ...cookie(good), 'x-csrf-token': csrf };
  t.equal((await askAll(t, 'full', '/orders', unbound)).status, 403, 'a token that was never for a cookie');
  for (const name of [
    'kt-client_other',
    `KT-${shop.id}`,
    `__Secure-kt-${shop.id}`,
    `x-kt-${shop.id}`,
    `kt-${shop.id}x`,
  ])
    t.equal((await askAll(t, 'full', '/orders', cookie(token, name))).status, 401, name);
  t.equal((await askAll(t, 'full', '/orders', cookie(''))).status, 401);
});

test('header and cookie: the header counts, and its failure is not made good by the cookie', async (t) => {
  const both = { ...cookie(person.token), ...bearer(good), method: 'POST' };
  t.match(await askAll(t, 'full', '/orders', both), { status: 200, body: JSON.stringify({ sub: machine.id }) });
  t.equal((await askAll(t, 'full', '/orders', { ...cookie(person.token), ...bearer('x') })).status, 401);
  t.equal((await askAll(t, 'full', '/orders', { ...cookie(person.token), authorization: 'Bearer' })).status, 400);
  const behindBasic = { ...cookie(person.token), authorization: machine.basic };
  t.equal((await askAll(t, 'full', '/orders', behindBasic)).status, 200, 'other credentials are not for us');
  t.equal((await askAll(t, 'full', '/orders', { ...behindBasic, method: 'POST' })).status, 403);
});

test('the metadata of the service, and where it is in every challenge', async (t) => {
  const path = '/.well-known/oauth-protected-resource';
  const { status, body, headers } = await askAll(t, 'full', path);
  t.equal(status, 200);
  t.match(headers, { 'access-control-allow-origin': '*', 'cache-control': 'public, max-age=600' });
  t.same(JSON.parse(body), {
    resource: orders.identifier,
    authorization_servers: [issuer.issuer],
    scopes_supported: ['orders:read', 'orders:write'],
    bearer_methods_supported: ['header'],
    resource_name: 'Orders',
  });
  t.match(await askAll(t, 'full', path, { method: 'HEAD' }), { status: 200, body: '' });
  t.equal((await askAll(t, 'plain', path)).status, 404, 'only where asked for');
  const at = `resource_metadata="${orders.identifier}${path}"`;
  const challenges: [Sent, RegExp][] = [
    [{}, new RegExp(`^Bearer ${at}$`)],
    [bearer('x'), new RegExp(`^Bearer error="invalid_token", error_description="[^"]+", ${at}$`)],
  ];
  for (const [sent, expected] of challenges)
    t.match((await askAll(t, 'full', '/orders', sent)).headers['www-authenticate'], expected);
});
