import tap, { test } from 'tap';
import { digestSecret, newSecret } from '../src/crypto/handle.ts';
import { createClientAuthenticator } from '../src/http/client-authentication.ts';
import { parseForm } from '../src/http/form.ts';
import type { Client } from '../src/protocol/client.ts';
import { createRegistry } from '../src/store/registry.ts';
import { createTestClock } from './support/clock.ts';
import { watchCrypto } from './support/crypto-calls.ts';
import { type Answer, basic, post, registerClient, registerResource, startIssuer } from './support/issuer.ts';
import { exchangeOne, formRequest } from './support/wire.ts';

const clock = createTestClock();
const issuer = await startIssuer(tap, { clock, listen: true });
await registerResource(issuer);
const grant = 'grant_type=client_credentials';
const withBasic = await registerClient(issuer);
const withPost = await registerClient(issuer, { authMethod: 'client_secret_post' });
const disabled = await registerClient(issuer, { disabledAt: clock.now() - 1 });

function byBasic(authorization: string, form = grant): Promise<Answer> {
  return post(issuer, '/token', form, { authorization });
}

function byPost(id: string, secret: string): Promise<Answer> {
  return post(issuer, '/token', { grant_type: 'client_credentials', client_id: id, client_secret: secret });
}

/** All of an answer that its receiver can tell from another one. */
function visible({ status, headers: { date, ...headers }, text }: Answer): object {
  return { status, headers, text };
}

function withSecrets(...secrets: string[]): Partial<Client> {
  return { secretDigests: secrets.map(digestSecret) };
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

test('a client authenticates by basic or by post, whichever it is registered for', async (t) => {
  t.equal((await byBasic(withBasic.basic)).status, 200);
  t.equal((await byPost(withPost.id, withPost.secret)).status, 200);
});

test('a client that tries the other method is refused', async (t) => {
  const inBody = await byPost(withBasic.id, withBasic.secret);
  t.equal(inBody.status, 400);
  t.equal(inBody.json.error, 'invalid_client');
  const inHeader = await byBasic(withPost.basic);
  t.equal(inHeader.status, 401);
  t.equal(inHeader.json.error, 'invalid_client');
});

test('401 and a challenge come only where the Authorization header was tried', async (t) => {
  for (const authorization of ['Basic eDp5', 'Bearer x', 'nonsense', '']) {
    const { status, headers } = await byBasic(authorization);
    t.equal(status, 401, authorization);
    t.equal(headers['www-authenticate'], `Basic realm="${issuer.issuer}", charset="UTF-8"`, authorization);
  }
  for (const form of [
    grant,
    `${grant}&client_id=${withBasic.id}`,
    `${grant}&client_id=${withPost.id}`,
    `${grant}&client_id=x`,
    `${grant}&client_secret=x`,
    `${grant}&client_id=x&client_secret=y`,
  ]) {
    const { status, headers, json } = await post(issuer, '/token', form);
    t.equal(status, 400, form);
    t.equal(json.error, 'invalid_client', form);
    t.equal(headers['www-authenticate'], undefined, form);
  }
});

test('both parts of basic credentials are form-urlencoded before base64', async (t) => {
  const secret = 'p%40ss:w+rd &=/?é€😀';
  const { id } = await registerClient(issuer, { id: 'cli ent:1+%&é', ...withSecrets(secret) });
  t.equal((await byBasic(basic(id, secret))).status, 200, 'as WHATWG forms write it');
  const every = (text: string) =>
    [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
  t.equal((await byBasic(`basic  ${base64(`${every(id)}:${every(secret)}`)}`)).status, 200, 'every byte encoded');
  t.equal((await byBasic(`Basic ${base64(`${id}:${secret}`)}`)).status, 401, 'not encoded at all');
});

test('a public client says its client_id and nothing else, and has no credentials to be granted on', async (t) => {
  const open = await registerClient(issuer, { authMethod: 'none', secretDigests: [] });
  const known = await post(issuer, '/token', { grant_type: 'client_credentials', client_id: open.id });
  t.equal(known.status, 400);
  t.equal(known.json.error, 'unauthorized_client');
  for (const answer of [
    await byPost(open.id, 'x'),
    await byBasic(basic(open.id, '')),
    await byBasic(basic(open.id, 'x')),
  ]) {
    t.equal(answer.json.error, 'invalid_client');
  }
});

test('credentials in header and body at once are invalid_request', async (t) => {
  for (const authorization of [withBasic.basic, withPost.basic, 'nonsense', '']) {
    const form = `${grant}&client_id=${withPost.id}&client_secret=${withPost.secret}`;
    const { status, json } = await byBasic(authorization, form);
    t.equal(status, 400, authorization);
    t.equal(json.error, 'invalid_request', authorization);
  }
});

test('a client_id in the body beside basic credentials has to be the same', async (t) => {
  t.equal((await byBasic(withBasic.basic, `${grant}&client_id=${withBasic.id}`)).status, 200);
  const { status, json } = await byBasic(withBasic.basic, `${grant}&client_id=${withPost.id}`);
  t.equal(status, 400);
  t.equal(json.error, 'invalid_request');
});

test('unknown, disabled and wrong clients are answered alike, to the last header', async (t) => {
  const wrong = newSecret('ktcs');
  const refused = visible(await byBasic(basic(withBasic.id, wrong)));
  t.match(refused, { status: 401, text: /"invalid_client"/ });
  for (const authorization of [
    basic('client_unknown', wrong),
    basic('client_unknown', ''),
    basic(withBasic.id, ''),
    basic(withBasic.id.toUpperCase(), withBasic.secret),
    disabled.basic,
    withPost.basic,
    basic('__proto__', 'x'),
    basic('constructor', 'x'),
  ]) {
    t.same(visible(await byBasic(authorization)), refused, authorization);
  }
  const refusedInBody = visible(await byPost(withPost.id, wrong));
  t.match(refusedInBody, { status: 400, text: /"invalid_client"/ });
  for (const [id, secret] of [
    ['client_unknown', wrong],
    [withPost.id, 'x'],
    [disabled.id, disabled.secret],
    ['toString', 'x'],
  ] as const) {
    t.same(visible(await byPost(id, secret)), refusedInBody, id);
  }
});

test('an unknown client costs the work of a wrong secret, and none costs a statement', async (t) => {
  const hashed = watchCrypto(t, 'hash');
  const compared = watchCrypto(t, 'timingSafeEqual');
  const statements = issuer.statements.length;
  for (const path of ['/token', '/revoke', '/introspect']) {
    const work = async (authorization: string) => {
      hashed.length = compared.length = 0;
      await post(issuer, path, { grant_type: 'client_credentials', token: 'x' }, { authorization });
      return { hashed: hashed.length, compared: compared.length };
    };
    const expected = { hashed: 1, compared: 1 };
    t.same(await work(basic(withBasic.id, 'wrong')), expected, `wrong secret at ${path}`);
    t.same(await work(basic('client_unknown', 'wrong')), expected, `unknown client at ${path}`);
    t.same(await work(disabled.basic), expected, `disabled client at ${path}`);
    t.same(await work(withPost.basic), expected, `other method at ${path}`);
  }
  t.same(
    issuer.statements.slice(statements).filter((text) => /FROM "?(public"?\."?)?client/.test(text)),
    [],
  );
});

test('secrets are compared by their digests, in constant time', async (t) => {
  const compared = watchCrypto(t, 'timingSafeEqual');
  await byBasic(withBasic.basic);
  t.strictSame(compared, [[Buffer.from(digestSecret(withBasic.secret)), Buffer.from(digestSecret(withBasic.secret))]]);
  await byBasic(basic(withBasic.id, 'wrong'));
  t.strictSame(compared[1], [Buffer.from(digestSecret('wrong')), Buffer.from(digestSecret(withBasic.secret))]);
});

test('a header that is not Basic credentials is invalid_client', async (t) => {
  const { id, secret } = withBasic;
  const good = base64(`${id}:${secret}`);
  for (const authorization of [
    'Basic',
    good,
    `Basic${good}`,
    `Basic\t${good}`,
    `Basic: ${good}`,
    `Basic "${good}"`,
    `Basic ${good} ${good}`,
    `Basic ${good}, Basic ${good}`,
    `Basic realm="x", ${good}`,
    `Bearer ${good}`,
    `Digest ${good}`,
    `Basic ${good.slice(0, 10)} ${good.slice(10)}`,
    `Basic ${good}===`,
    `Basic ${good}!`,
    'Basic ====',
    'Basic !!!!',
    `Basic ${base64(id)}`,
    `Basic ${base64(`:${secret}`)}`,
    `Basic ${base64(`${id}:`)}`,
    `Basic ${base64(`${id}:${secret}\n`)}`,
    `Basic ${base64(`\0${id}:${secret}`)}`,
    `Basic ${base64(`${id}:${secret}%`)}`,
    `Basic ${base64(`${id}:%ff`)}`,
    `Basic ${base64(`%00${id}:${secret}`)}`,
    `Basic ${Buffer.from(`\xff${id}:${secret}`, 'latin1').toString('base64')}`,
    `Basic ${base64(`${id};${secret}`)}`,
    `Basic ${base64(`${id}::${secret}`)}`,
  ]) {
    const { status, json } = await byBasic(authorization);
    t.equal(status, 401, authorization);
    t.equal(json.error, 'invalid_client', authorization);
  }
});

test('two Authorization headers are invalid_request, even if they agree', async (t) => {
  for (const [first, second] of [
    [withBasic.basic, withBasic.basic],
    [withBasic.basic, 'Basic eDp5'],
    ['', withBasic.basic],
  ]) {
    const headers = [`Authorization: ${first}`, `authorization: ${second}`];
    const { status, body } = await exchangeOne(issuer, formRequest('/token', grant, headers));
    t.equal(status, 400);
    t.equal(JSON.parse(body).error, 'invalid_request');
  }
});

test('after a secret was turned the old one works until its overlap is over', async (t) => {
  const [older, newer] = [newSecret('ktcs'), newSecret('ktcs')];
  const client = await registerClient(issuer, {
    ...withSecrets(newer, older),
    previousSecretExpiresAt: clock.now() + 60,
  });
  const now = clock.now();
  t.teardown(() => clock.set(now));
  const statuses = async () => [
    (await byBasic(basic(client.id, newer))).status,
    (await byBasic(basic(client.id, older))).status,
  ];
  clock.set(now + 59);
  t.same(await statuses(), [200, 200]);
  clock.set(now + 60);
  t.same(await statuses(), [200, 401]);
});

test('very long ids and secrets are refused like others', async (t) => {
  const long = 'x'.repeat(60_000);
  for (const answer of [
    await byPost(long, 'x'),
    await byPost(withPost.id, long),
    await byBasic(basic(long.slice(0, 9_000), 'x')),
  ]) {
    t.equal(answer.json.error, 'invalid_client');
  }
});

test('an id that Postgres would not take is refused too where clients are loaded one by one', async (t) => {
  const registry = createRegistry(issuer.database, 1);
  await registry.load();
  const { authenticate } = createClientAuthenticator(registry, issuer.issuer);
  t.match(await authenticate(withBasic.basic, parseForm(''), clock.now()), { id: withBasic.id });
  for (const id of ['client_unknown', 'a\0b', '\ud800', 'x'.repeat(60_000)]) {
    const authorization = `Basic ${base64(`${id}:x`)}`;
    await t.rejects(authenticate(authorization, parseForm(''), clock.now()), { code: 'invalid_client', status: 401 });
  }
});
