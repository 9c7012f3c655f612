import { calculateJwkThumbprint, type JWK } from 'jose';
import tap, { test } from 'tap';
import { createPublicDocument } from '../src/http/document.ts';
import { scheduleOf } from '../src/keys/lifecycle.ts';
import { identityScopes } from '../src/protocol/scope.ts';
import { updateResource } from '../src/store/resource.ts';
import { createTestClock } from './support/clock.ts';
import { type Answer, get, orders, registerClient, registerResource, startIssuer } from './support/issuer.ts';

const times = { signFor: 86_400, jwksMaxAge: 45, longestTokenTtl: 600, longestGrant: 2_592_000 };
const settings = { KEY_SIGN_FOR: '86400', JWKS_MAX_AGE: '45', ACCESS_TOKEN_TTL: '600' };
const clock = createTestClock();
const issuer = await startIssuer(tap, { clock, settings });
await registerResource(issuer);

const jwks = '/.well-known/jwks.json';
const metadata = '/.well-known/oauth-authorization-server';
const documents = [jwks, metadata, '/.well-known/openid-configuration'];

async function keys(): Promise<JWK[]> {
  return (await get(issuer, jwks)).json.keys;
}

async function ask(method: 'GET' | 'HEAD' | 'OPTIONS', path: string, headers: Record<string, string> = {}) {
  return issuer.app.server.inject({ method, url: path, headers });
}

test('the JWKS shows the public members of its keys and nothing else', async (t) => {
  const found = await keys();
  t.ok(found.length >= 4, 'a signer and a standby of each algorithm');
  for (const key of found) {
    const members = key.kty === 'EC' ? ['crv', 'x', 'y'] : ['e', 'n'];
    t.same(Object.keys(key).sort(), ['alg', 'kid', 'kty', 'use', ...members].sort());
  }
});

test('each key says its use and its algorithm', async (t) => {
  for (const { kty, crv, use, alg } of await keys()) {
    t.equal(use, 'sig');
    t.ok(['ES256 EC P-256', 'RS256 RSA '].includes(`${alg} ${kty} ${crv ?? ''}`));
  }
  t.same([...new Set((await keys()).map(({ alg }) => alg))].sort(), ['ES256', 'RS256']);
});

test('a kid is the RFC 7638 thumbprint of its key, and unique', async (t) => {
  const found = await keys();
  for (const key of found) t.equal(key.kid, await calculateJwkThumbprint(key));
  t.equal(new Set(found.map(({ kid }) => kid)).size, found.length);
});

test('RSA keys have 2048 bits at least', async (t) => {
  for (const { kty, n } of await keys()) if (kty === 'RSA') t.ok(Buffer.from(n ?? '', 'base64url').length >= 256);
});

test('documents say their type and how long they may be kept', async (t) => {
  t.match((await get(issuer, jwks)).headers, {
    'content-type': 'application/jwk-set+json',
    'cache-control': 'public, max-age=45',
  });
  t.match((await get(issuer, metadata)).headers, {
    'content-type': 'application/json',
    'cache-control': 'public, max-age=300',
  });
});

test('who has a document already gets 304', async (t) => {
  for (const path of documents) {
    const { headers } = await get(issuer, path);
    const etag = String(headers.etag);
    t.match(etag, /^"[\w-]{16,}"$/);
    for (const known of [etag, `W/${etag}`, `"x", ${etag}`, `"x",W/${etag},"y"`, '*']) {
      const again = await get(issuer, path, { 'if-none-match': known });
      t.equal(again.status, 304, known);
      t.equal(again.text, '', known);
      t.equal(again.headers['content-type'], undefined, known);
      for (const name of ['etag', 'cache-control', 'access-control-allow-origin']) {
        t.equal(again.headers[name], headers[name], `${name} for ${known}`);
      }
    }
    for (const other of ['"x"', etag.slice(1, -1), `"${etag}"`, `x${etag}`, '', '"*"']) {
      const fresh = await get(issuer, path, { 'if-none-match': other });
      t.equal(fresh.status, 200, other);
      t.equal(fresh.headers.etag, etag, other);
    }
  }
});

test('HEAD answers the headers of GET', async (t) => {
  for (const path of [...documents, '/health/live']) {
    const { date, ...expected } = (await ask('GET', path)).headers;
    const head = await ask('HEAD', path);
    t.equal(head.statusCode, 200, path);
    t.equal(head.payload, '', path);
    const { date: _, ...headers } = head.headers;
    t.same(headers, expected, path);
  }
});

test('a page of any origin may read the documents, also with headers of its own', async (t) => {
  for (const path of documents) {
    t.equal((await get(issuer, path, { origin: 'https://app.example' })).headers['access-control-allow-origin'], '*');
    const asking = {
      origin: 'https://app.example',
      'access-control-request-method': 'GET',
      'access-control-request-headers': 'if-none-match',
    };
    const { statusCode, headers } = await ask('OPTIONS', path, asking);
    t.equal(statusCode, 204);
    t.equal(headers['access-control-allow-origin'], '*');
    t.match(headers['access-control-allow-headers'], /(^|, ?)\*($|,)/);
    t.match(headers['access-control-allow-methods'], /\bGET\b/);
  }
  t.equal((await get(issuer, '/health/ready')).headers['access-control-allow-origin'], undefined);
});

test('other methods get 405, with those that are allowed', async (t) => {
  for (const path of documents) {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'] as const) {
      const answer = await issuer.app.server.inject({ method, url: path, payload: 'not a form' });
      t.equal(answer.statusCode, 405);
      t.equal(answer.headers.allow, 'GET, HEAD, OPTIONS');
      t.equal(answer.json().error, 'invalid_request');
    }
  }
  const health = await issuer.app.server.inject({ method: 'POST', url: '/health/live' });
  t.equal(health.statusCode, 405);
  t.equal(health.headers.allow, 'GET, HEAD');
});

test('the JWKS changes when the clock takes a key out, and not before', async (t) => {
  const schedule = scheduleOf(times);
  const [first] = issuer.app.keyring.rows('ES256');
  const standby = issuer.app.keyring.rows('ES256').find(({ signsFrom }) => signsFrom > clock.now());
  const goes = Number(standby?.signsFrom) + schedule.keepPublished;
  clock.set(goes - 1);
  await issuer.app.refresh();
  const before = await get(issuer, jwks);
  t.equal((await get(issuer, jwks)).headers.etag, before.headers.etag);
  t.ok(kids(before).includes(first?.kid), 'published while a token of it may be alive');
  clock.set(goes);
  const after = await get(issuer, jwks, { 'if-none-match': String(before.headers.etag) });
  t.equal(after.status, 200);
  t.not(after.headers.etag, before.headers.etag);
  t.notOk(kids(after).includes(first?.kid));
});

test('the metadata changes with the scopes of a resource, and with nothing else', async (t) => {
  const before = await get(issuer, metadata);
  t.same(before.json.scopes_supported, [...identityScopes, 'orders:read', 'orders:write']);
  await registerClient(issuer);
  t.equal((await get(issuer, metadata)).headers.etag, before.headers.etag, 'a new client');
  await updateResource(issuer.database, orders.identifier, { scopes: { ...orders.scopes, 'orders:cancel': '' } });
  await issuer.app.refresh();
  const after = await get(issuer, metadata, { 'if-none-match': String(before.headers.etag) });
  t.equal(after.status, 200);
  t.same(after.json.scopes_supported, [...identityScopes, 'orders:cancel', 'orders:read', 'orders:write']);
});

test('a document is rendered once for each version, however often it is read', async (t) => {
  let version = 1;
  let rendered = 0;
  const document = createPublicDocument({
    contentType: 'application/json',
    cacheControl: 'public',
    version: () => version,
    render: () => ({ rendered: ++rendered }),
  });
  const server = (await import('fastify')).default().get('/', (request, reply) => document.send(request, reply));
  for (const expected of [1, 1, 1, 2, 2]) {
    version = expected;
    t.same((await server.inject('/')).json(), { rendered: expected });
  }
  const published = issuer.app.keyring.published;
  t.teardown(() => Object.assign(issuer.app.keyring, { published }));
  let asked = 0;
  await get(issuer, jwks);
  Object.assign(issuer.app.keyring, { published: () => [++asked] });
  for (let times = 0; times < 50; times++) await get(issuer, jwks);
  t.equal(asked, 0, 'the keyring was not asked again');
});

function kids({ json }: Answer): unknown[] {
  return json.keys.map(({ kid }: JWK) => kid);
}
