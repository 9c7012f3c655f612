/** What each adapter does by itself, and what it takes to get it wrong. */
import { readdirSync, readFileSync } from 'node:fs';
import { createVerifier } from '@keyturn/verifier';
import { createTokenMiddleware } from '@keyturn/verifier/express';
import { accessTokens } from '@keyturn/verifier/fastify';
import { createTokenChecks } from '@keyturn/verifier/request';
import Fastify from 'fastify';
import { t as file, test } from 'tap';
import { startFakeIssuer } from './support/fake-issuer.ts';
import { freePort } from './support/issuer.ts';
import { project } from './support/project.ts';
import { adapters, ask } from './support/services.ts';

const { issuer, audience, token } = await startFakeIssuer(file);
const verifier = createVerifier({ issuer, audience });
file.teardown(() => verifier.close());
const good = await token({ sub: 'ada' });
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

test('metadata of a service below a path is where RFC 9728 has it', async (t) => {
  const resource = 'https://api.example/v1/orders?tenant=1';
  const below = createVerifier({ issuer, audience: resource });
  t.teardown(() => below.close());
  for (const [name, start] of Object.entries(adapters)) {
    const port = await start(t, { verifier: below, metadata: {} });
    const { body } = await ask(port, '/.well-known/oauth-protected-resource/v1/orders?tenant=1');
    t.equal(JSON.parse(body).resource, resource, name);
    const challenge = (await ask(port, '/orders')).headers['www-authenticate'] ?? '';
    t.match(challenge, '"https://api.example/.well-known/oauth-protected-resource/v1/orders?tenant=1"', name);
  }
});

test('while the issuer cannot be reached for a first time: 503, and when to come again', async (t) => {
  const away = createVerifier({ issuer: `http://localhost:${await freePort()}`, audience });
  t.teardown(() => away.close());
  for (const [name, start] of Object.entries(adapters)) {
    const port = await start(t, { verifier: away });
    const { status, headers, body } = await ask(port, '/orders', bearer(good));
    t.equal(status, 503, name);
    t.match(headers, { 'retry-after': /^\d+$/, 'cache-control': 'no-store' });
    t.equal(headers['www-authenticate'], undefined, 'the token is not to blame');
    t.equal(JSON.parse(body).error, 'temporarily_unavailable');
    t.equal((await ask(port, '/orders')).status, 401, 'who has none is told so');
  }
});

test('a requirement that was misspelt is an error at the start, not an open door', async (t) => {
  const { requireToken } = createTokenChecks({ verifier });
  const middleware = createTokenMiddleware({ verifier });
  const wrong: unknown[] = [
    { scopes: 'orders:read' },
    { roles: ['clerk'] },
    { scope: undefined },
    { scope: '' },
    { scope: [] },
    { scope: [undefined] },
    { scope: 'a"b' },
    { scope: 'orders:read ' },
    { role: null },
    { role: '' },
    { permission: 1 },
  ];
  for (const requirement of wrong) {
    t.throws(() => requireToken(requirement as object), TypeError, JSON.stringify(requirement));
    t.throws(() => middleware.requireToken(requirement as object), TypeError);
  }
  t.throws(() => createTokenChecks({ verifier, cookie: 'a b' }), TypeError);
  t.throws(() => createTokenChecks({ verifier: { ...verifier, audiences: ['urn:orders'] }, metadata: {} }), TypeError);
});

test('behind Fastify a route that forgot its guard has no claims, and fails', async (t) => {
  const server = Fastify();
  await server.register(accessTokens, { verifier });
  server.get('/forgotten', (request) => ({ sub: request.claims.sub }));
  const { statusCode, payload } = await server.inject({ url: '/forgotten', headers: bearer(good) });
  t.equal(statusCode, 500);
  t.notMatch(payload, 'ada');
  await server.close();
});

test('behind Fastify one hook guards all there is, and leaves the metadata readable', async (t) => {
  const server = Fastify();
  await server.register(accessTokens, { verifier, metadata: {} });
  server.addHook('onRequest', server.requireToken());
  server.get('/me', (request) => ({ sub: request.claims.sub }));
  await server.register(async (inner) => inner.get('/inner', (request) => ({ sub: request.claims.sub })));
  for (const url of ['/me', '/inner', '/nothing']) t.equal((await server.inject(url)).statusCode, 401, url);
  for (const url of ['/me', '/inner'])
    t.same((await server.inject({ url, headers: bearer(good) })).json(), { sub: 'ada' }, url);
  for (const method of ['GET', 'HEAD'] as const)
    t.equal((await server.inject({ method, url: '/.well-known/oauth-protected-resource' })).statusCode, 200, method);
  t.equal((await server.inject('/me?/.well-known/oauth-protected-resource')).statusCode, 401);
  await server.close();
});

test('over https the cookie is the one that browsers take over https alone', async (t) => {
  const { requireToken } = createTokenChecks({
    verifier: { ...verifier, issuer: 'https://id.example' },
    cookie: 'client_shop',
  });
  const check = requireToken();
  const send = (cookies: string) => check(new Request('https://api.example/', { headers: { cookie: cookies } }));
  t.match(await send(`__Secure-kt-client_shop=${good}`), { sub: 'ada' });
  t.match(await send(`kt-client_shop=${good}`), { status: 401 });
});

test('what is no refusal goes to the error handler of the framework', async (t) => {
  const broken = { ...verifier, verify: () => Promise.reject(new RangeError('broken')) };
  for (const [name, start] of Object.entries(adapters)) {
    if (name === 'request') continue;
    const port = await start(t, { verifier: broken });
    t.equal((await ask(port, '/me', bearer(good))).status, 500, name);
  }
  const { requireToken } = createTokenChecks({ verifier: broken });
  const request = new Request('https://api.example/', { headers: bearer(good) });
  await t.rejects(requireToken()(request), RangeError);
});

test('no adapter brings a framework along', async (t) => {
  const folder = project('verifier/dist');
  const built = readdirSync(folder).filter((name) => name.endsWith('.js'));
  t.ok(['fastify.js', 'express.js', 'request.js'].every((name) => built.includes(name)));
  for (const name of built) {
    const imports = [...readFileSync(`${folder}/${name}`, 'utf8').matchAll(/\b(?:from|import)\s*\(?['"]([^'"]+)/g)];
    for (const [, from = ''] of imports) t.match(from, /^(jose$|\.\/)/, `${name} imports ${from}`);
  }
});
