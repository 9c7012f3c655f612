import { deepStrictEqual, doesNotMatch, match, ok } from 'node:assert/strict';
import fc from 'fast-check';
import tap, { type Test, test } from 'tap';
import { headerValue, latin1, mark, odd, text, walk } from './support/hostile.ts';
import { registerClient, registerResource, startIssuer } from './support/issuer.ts';
import { exchange, exchangeOne, formRequest, request, type WireAnswer } from './support/wire.ts';

const parameters = walk(60);

const issuer = await startIssuer(tap, { listen: true });
await registerResource(issuer);
const client = await registerClient(issuer);
const grant = 'grant_type=client_credentials';
const authorization = `Authorization: ${client.basic}`;

const errors = /^(invalid_(request|client|grant|scope|target)|unauthorized_client|unsupported_(grant|token)_type)$/;

/** Every answer is a document, a token, or a refusal in JSON with a registered code, and repeats nothing; to HEAD without its body. */
function check({ status, headers, body }: WireAnswer, method = 'GET'): void {
  ok(status >= 200 && status < 500, `${status} ${body}`);
  ok(![301, 302, 303, 307, 308].includes(status), 'sends nobody anywhere');
  if (status === 204 || status === 304 || (status === 200 && body === '')) return;
  match(headers['content-type'] ?? '', /^application\/(jwk-set\+)?json/);
  if (method === 'HEAD') {
    ok(body === '');
    return;
  }
  const json = JSON.parse(body);
  if (status < 400) return;
  deepStrictEqual(Object.keys(json), ['error', 'error_description']);
  match(json.error, errors);
  match(json.error_description, /^[ !#-[\]-~]+$/);
  ok(headers['cache-control'] === 'no-store');
  doesNotMatch(JSON.stringify(headers) + body, new RegExp(`${mark}|node_modules|\\.js:|\\.ts:`, 'i'));
}

async function checkAlive(t: Test): Promise<void> {
  t.equal((await exchangeOne(issuer, formRequest('/token', grant, [authorization]))).status, 200);
  const failures = issuer.log.filter(({ level }) => Number(level) >= 40);
  t.same(failures, [], 'nothing was worth a warning');
}

const known = fc.constantFrom(
  'grant_type',
  'scope',
  'resource',
  'client_id',
  'client_secret',
  'code',
  'refresh_token',
  'token',
  'token_type_hint',
);
const path = fc.constantFrom(
  '/token',
  '/.well-known/jwks.json',
  '/.well-known/openid-configuration',
  '/revocations',
  '/health/live',
  '/health/ready',
);

test('bodies of any bytes', async (t) => {
  const encoded = fc.stringMatching(/^[%&=+;a-f0-9]{0,40}$/).map((rest) => mark + rest);
  const bytes = fc.oneof(latin1, encoded);
  const body = fc.oneof(
    bytes,
    bytes.map((rest) => `${grant}&${rest}`),
    bytes.map((rest) => `${grant}&scope=${rest}`),
  );
  const property = fc.asyncProperty(body, async (bytes) => {
    check(await exchangeOne(issuer, formRequest('/token', bytes, [authorization])));
  });
  await fc.assert(property, parameters);
  await checkAlive(t);
});

test('forms of any names and values', async (t) => {
  const pair = fc.tuple(fc.oneof(known, odd, text), fc.oneof(text, odd, fc.constant('client_credentials')));
  const to = fc.constantFrom('/token', '/token', '/revoke', '/introspect');
  const pairs = fc.array(pair, { maxLength: 8 });
  const property = fc.asyncProperty(to, pairs, fc.boolean(), async (path, pairs, whole) => {
    const form = new URLSearchParams(pairs);
    if (whole && path === '/token') form.set('grant_type', 'client_credentials');
    else if (whole) form.set('token', `${mark}.${form.toString()}`);
    check(await exchangeOne(issuer, formRequest(path, form.toString(), [authorization])));
  });
  await fc.assert(property, parameters);
  await checkAlive(t);
});

test('credentials of any bytes', async (t) => {
  const part = fc.oneof(latin1, odd, fc.constant(client.id), fc.constant(client.secret));
  const basic = fc.tuple(part, part).map((pair) => `Basic ${Buffer.from(pair.join(':'), 'latin1').toString('base64')}`);
  const property = fc.asyncProperty(fc.oneof(basic, headerValue), async (value) => {
    check(await exchangeOne(issuer, formRequest('/token', grant, [`Authorization: ${value}`])));
  });
  await fc.assert(property, parameters);
  await checkAlive(t);
});

test('headers of any names and values', async (t) => {
  const name = fc.oneof(
    fc.constantFrom(
      'Content-Type',
      'Content-Encoding',
      'If-None-Match',
      'If-Match',
      'Range',
      'Cookie',
      'Origin',
      'Accept',
      'Accept-Encoding',
    ),
    fc.constantFrom('Accept-Version', 'Expect', 'X-Forwarded-For', 'X-Forwarded-Proto', 'X-HTTP-Method-Override', 'TE'),
    fc.constantFrom(
      '__proto__',
      'constructor',
      'DPoP',
      'Authorization',
      'Host',
      'Date',
      'Via',
      'Trailer',
      'Cache-Control',
    ),
    fc
      .stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}$/)
      .filter((token) => !/^(content-length|transfer-encoding)$/i.test(token)),
  );
  const headers = fc.array(
    fc.tuple(name, headerValue).map((pair) => pair.join(': ')),
    { maxLength: 6 },
  );
  const property = fc.asyncProperty(
    headers,
    path,
    fc.constantFrom('GET', 'POST', 'PUT', 'OPTIONS', 'HEAD'),
    async (lines, at, method) => {
      check(await exchangeOne(issuer, request(`${method} ${at}`, lines, method === 'POST' ? grant : '')), method);
    },
  );
  await fc.assert(property, parameters);
  await checkAlive(t);
});

test('paths and queries of any characters, with any method', async (t) => {
  const written = fc.oneof(
    text.map(encodeURIComponent),
    fc.stringMatching(/^[!-~]{0,40}$/).map((rest) => mark + rest),
    fc.tuple(path, fc.stringMatching(/^[!-~]{0,20}$/)).map(([at, rest]) => `${at.slice(1)}?${mark}=${rest}`),
    fc.webUrl(),
  );
  const method = fc.constantFrom(
    'GET',
    'HEAD',
    'POST',
    'PUT',
    'PATCH',
    'DELETE',
    'OPTIONS',
    'TRACE',
    'PROPFIND',
    'PURGE',
    'ZQ7X',
  );
  const property = fc.asyncProperty(written, method, async (target, verb) => {
    check(await exchangeOne(issuer, request(`${verb} /${target}`)), verb);
  });
  await fc.assert(property, parameters);
  await checkAlive(t);
});

test('bytes of any kind, cut off anywhere', async (t) => {
  const good = formRequest('/token', grant, [authorization]);
  const bent = fc
    .tuple(fc.nat(good.length), fc.nat(4), latin1)
    .map(([at, gone, bytes]) => good.slice(0, at) + bytes + good.slice(at + gone));
  const cut = fc.nat(good.length).map((at) => good.slice(0, at));
  const property = fc.asyncProperty(fc.oneof(latin1, bent, cut), async (bytes) => {
    for (const answer of await exchange(issuer, bytes, { end: true })) check(answer);
  });
  await fc.assert(property, parameters);
  await checkAlive(t);
});
