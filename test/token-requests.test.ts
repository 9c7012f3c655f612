import tap, { test } from 'tap';
import { createTestClock } from './support/clock.ts';
import { type Answer, post, registerClient, registerResource, startIssuer } from './support/issuer.ts';

const clock = createTestClock();
const issuer = await startIssuer(tap, { clock });
await registerResource(issuer);
const client = await registerClient(issuer);
const grant = 'grant_type=client_credentials';

function ask(form: string, headers: Record<string, string> = {}): Promise<Answer> {
  return post(issuer, '/token', form, { authorization: client.basic, ...headers });
}

/** What every error of the token endpoint looks like (RFC 6749 §5.2). */
function checkError(t: Tap, { status, headers, json }: Answer, error: string, expected = 400, about = error): void {
  t.equal(status, expected, about);
  t.equal(json.error, error, about);
  t.same(Object.keys(json), ['error', 'error_description'], about);
  t.match(json.error_description, /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/, about);
  t.match(headers['content-type'], /^application\/json/, about);
  t.equal(headers['cache-control'], 'no-store', about);
  t.equal(headers['www-authenticate'], undefined, about);
}

type Tap = Pick<typeof tap, 'equal' | 'same' | 'match'>;

test('a parameter that comes twice is invalid_request', async (t) => {
  for (const form of [
    `${grant}&${grant}`,
    `${grant}&scope=orders:read&scope=orders:read`,
    `${grant}&scope=orders:read&s%63ope=orders:write`,
    `${grant}&client_id=${client.id}&client_id=${client.id}`,
    `${grant}&client_secret=a&client_secret=b`,
    `${grant}&unheard_of=1&unheard_of=2`,
    `${grant}&scope=&scope=orders:read`,
  ]) {
    checkError(t, await ask(form), 'invalid_request', 400, form);
  }
});

test('a parameter without a value counts as absent', async (t) => {
  const { status, json } = await ask(`${grant}&scope=&resource=&resource&client_id=&client_secret&=&&`);
  t.equal(status, 200);
  t.equal(json.scope, 'orders:read orders:write');
  for (const form of ['grant_type=', 'grant_type', 'scope=orders:read']) {
    checkError(t, await ask(form), 'invalid_request', 400, form);
  }
});

test('unknown parameters are ignored, whatever they are called', async (t) => {
  for (const name of ['foo', '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'a[b][c]', 'scope[]', 'é']) {
    const { status, json } = await ask(`${grant}&${encodeURIComponent(name)}=1`);
    t.equal(status, 200, name);
    t.equal(json.scope, 'orders:read orders:write', name);
  }
});

test('names and values are percent-decoded, and plus is a space', async (t) => {
  const { json } = await ask('gr%61nt_type=client%5Fcredentials&scope=orders%3Aread+orders%3awrite');
  t.equal(json.scope, 'orders:read orders:write');
});

test('what is not form-urlencoded is invalid_request', async (t) => {
  for (const rest of [
    '%zz',
    'a=%',
    'a=%f',
    'a=%ff',
    'a=%c3%28',
    'a=%ed%a0%80',
    'a=é',
    'a=\n',
    'a=%00',
    'a=%0a',
    '%7f=a',
  ]) {
    checkError(t, await ask(`${grant}&${rest}`), 'invalid_request', 400, rest);
  }
});

test('more parameters than any request needs are invalid_request', async (t) => {
  const names = Array.from({ length: 1000 }, (_, index) => `p${index}=${index}`);
  checkError(t, await ask(`${grant}&${names.join('&')}`), 'invalid_request');
  t.equal((await ask(`${grant}&${names.slice(0, 40).join('&')}`)).status, 200);
});

test('a body of another type than form-urlencoded is invalid_request', async (t) => {
  for (const type of [
    'application/json',
    'text/plain',
    'multipart/form-data; boundary=x',
    'application/x-www-form-urlencoded-not',
    'application/x-www-form-urlencoded, application/json',
    'form',
    ';;;',
    '',
  ]) {
    checkError(t, await ask(grant, { 'content-type': type }), 'invalid_request', 400, type);
  }
  for (const type of ['application/x-www-form-urlencoded; charset=UTF-8', 'Application/X-WWW-Form-Urlencoded']) {
    t.equal((await ask(grant, { 'content-type': type })).status, 200, type);
  }
});

test('a request without a body is invalid_request', async (t) => {
  checkError(t, await ask(''), 'invalid_request');
  const bare = await issuer.app.server.inject({ method: 'POST', url: '/token' });
  t.equal(bare.statusCode, 400);
  t.equal(bare.json().error, 'invalid_request');
});

test('methods other than POST get 405, with the one that is allowed', async (t) => {
  for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'PROPFIND'] as const) {
    const headers = { authorization: client.basic, 'content-type': 'application/x-www-form-urlencoded' };
    // biome-ignore lint/suspicious/noExplicitAny: inject has no type for the rarer ones
    const answer = await issuer.app.server.inject({ method: method as any, url: `/token?${grant}`, headers });
    t.equal(answer.statusCode, 405, method);
    t.match(answer.headers.allow, /^POST\b/, method);
    t.equal(answer.headers['cache-control'], 'no-store', method);
    if (method !== 'HEAD') t.equal(answer.json().error, 'invalid_request', method);
  }
});

test('a page of an origin that no client has registered may not read a token', async (t) => {
  const origin = 'https://app.example';
  const asking = { origin, 'access-control-request-method': 'POST' };
  const preflight = await issuer.app.server.inject({ method: 'OPTIONS', url: '/token', headers: asking });
  t.equal(preflight.headers['access-control-allow-origin'], undefined);
  t.equal((await ask(grant, { origin })).headers['access-control-allow-origin'], undefined);
});

test('an unknown grant type is unsupported_grant_type', async (t) => {
  for (const name of [
    'password',
    'implicit',
    'CLIENT_CREDENTIALS',
    ' client_credentials',
    '__proto__',
    'constructor',
  ]) {
    checkError(t, await ask(new URLSearchParams({ grant_type: name }).toString()), 'unsupported_grant_type', 400, name);
  }
});

test('a client that is not registered for the grant type is unauthorized_client', async (t) => {
  const other = await registerClient(issuer, { grantTypes: ['authorization_code'] });
  checkError(t, await ask(grant, { authorization: other.basic }), 'unauthorized_client');
});

test('what stands in the query is ignored', async (t) => {
  const query = new URLSearchParams({ grant_type: 'password', scope: 'none', client_id: 'x', client_secret: 'y' });
  const url = `/token?${query}`;
  t.equal((await post(issuer, url, grant, { authorization: client.basic })).status, 200);
  const alone = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: client.id,
    client_secret: client.secret,
  });
  checkError(t, await post(issuer, `/token?${alone}`, grant), 'invalid_client');
  checkError(t, await post(issuer, `/token?${alone}`, 'scope=orders:read'), 'invalid_request');
});

test('every answer of the token endpoint is no-store', async (t) => {
  const forms = [
    grant,
    '',
    'grant_type=password',
    `${grant}&scope=no`,
    `${grant}&resource=no`,
    `${grant}&a=%`,
    'a'.repeat(70_000),
  ];
  for (const authorization of [client.basic, 'Basic eDp5', 'nonsense']) {
    for (const form of forms) {
      const { headers } = await ask(form, { authorization });
      t.equal(headers['cache-control'], 'no-store', `${authorization.slice(0, 10)} ${form.slice(0, 40)}`);
    }
  }
});

test('no error repeats what was sent', async (t) => {
  const mark = 'c0ffee"\\<script>\u00e9';
  for (const name of ['grant_type', 'scope', 'resource', 'client_id', 'client_secret', mark]) {
    const form = new URLSearchParams({ grant_type: 'client_credentials' });
    form.set(name, mark);
    form.append(mark, mark);
    const { text, headers } = await ask(form.toString(), { authorization: `Basic ${btoa('c0ffee:c0ffee')}` });
    t.notMatch(text + JSON.stringify(headers), /c0ffee|<script/, name);
  }
});

test('a mistake of ours is server_error, which says nothing and is logged once', async (t) => {
  const sign = issuer.app.keyring.sign;
  t.teardown(() => Object.assign(issuer.app.keyring, { sign }));
  Object.assign(issuer.app.keyring, { sign: () => Promise.reject(new Error('the disk at /var/secret is full')) });
  const before = issuer.log.length;
  const answer = await ask(grant);
  checkError(t, answer, 'server_error', 500);
  t.notMatch(answer.text, /secret|disk|at /);
  const told = issuer.log.slice(before).filter((line) => JSON.stringify(line).includes('/var/secret'));
  t.equal(told.length, 1);
});

test('while no key signs the answer is 503 with Retry-After', async (t) => {
  const original = issuer.app.keyring.rows();
  t.teardown(() => issuer.app.keyring.take(original));
  await issuer.app.keyring.take([]);
  const answer = await ask(grant);
  checkError(t, answer, 'temporarily_unavailable', 503);
  t.match(answer.headers['retry-after'], /^\d+$/);
});
