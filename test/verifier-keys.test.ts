/** How the verifier comes by the issuer's keys, keeps them, and lets go of them. */
import { createSecretKey, randomUUID } from 'node:crypto';
import { createVerifier } from '@keyturn/verifier';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { test } from 'tap';
import { newKey } from './support/fake-issuer.ts';
import { eventually } from './support/process.ts';
import { refusalOf, startVerifier } from './support/verifier.ts';

test('many tokens at once, and the issuer is asked once for each thing', async (t) => {
  const { fake, verifier } = await startVerifier(t);
  const tokens = await Promise.all(Array.from({ length: 50 }, () => fake.token()));
  const claims = await Promise.all(tokens.map((token) => verifier.verify(token)));
  t.equal(new Set(claims.map(({ jti }) => jti)).size, 50);
  for (const path of ['/.well-known/openid-configuration', '/jwks', '/revocations'])
    t.equal(fake.asked[path]?.length, 1, path);
});

test('nothing is asked before the first token', async (t) => {
  const { fake } = await startVerifier(t);
  t.same(fake.asked, {});
});

test('unknown keys are asked for once in a while, and known ones do not wait meanwhile', async (t) => {
  const { fake, verifier, clocks, refusal } = await startVerifier(t);
  await verifier.ready();
  const jwks = fake.answers['/jwks'];
  const held: (() => void)[] = [];
  fake.answers['/jwks'] = (request, response) => void held.push(() => jwks?.(request, response));
  clocks.advance(11);

  const stranger = await newKey();
  const strangers = Promise.all(
    Array.from({ length: 100 }, async () =>
      refusal(await fake.token({}, { kid: randomUUID(), alg: 'ES256' }, stranger)),
    ),
  );
  await eventually(() => held.length > 0);
  t.equal(await refusal(await fake.token()), undefined, 'while the keys are being fetched');
  for (const answer of held) answer();
  t.same(new Set(await strangers), new Set(['key_unknown']));
  t.equal(fake.asked['/jwks']?.length, 2);
  t.match(fake.asked['/jwks']?.[1]?.headers, { 'cache-control': 'no-cache' });

  fake.answers['/jwks'] = jwks as never;
  fake.keys.push(stranger);
  const token = await fake.token({}, {}, stranger);
  t.equal(await refusal(token), 'key_unknown', 'a moment later nobody asks again');
  t.equal(fake.asked['/jwks']?.length, 2);
  clocks.advance(11);
  t.equal(await refusal(token), undefined, 'and then the new key is found');
});

test('keys are fetched anew before their max-age is over, and those that are gone are dropped', async (t) => {
  const { fake, verifier, clocks, refusal } = await startVerifier(t);
  const [old] = fake.keys;
  await verifier.ready();
  clocks.advance(600 * 0.69);
  t.equal(await refusal(await fake.token()), undefined);
  t.equal(fake.asked['/jwks']?.length, 1, 'not much before');

  fake.keys.splice(0, 1, await newKey());
  clocks.advance(600 * 0.17);
  await eventually(() => verifier.status().kids.includes(fake.keys[0]?.kid ?? ''));
  t.equal(fake.asked['/jwks']?.length, 2, 'without a token that asks for it');
  t.equal(await refusal(await fake.token()), undefined);
  t.equal(await refusal(await fake.token({}, {}, old)), 'key_unknown');
});

test('max-age is that of the answer, less its age in a cache, and within reason', async (t) => {
  const cases: [headers: Record<string, string>, still: number, over: number][] = [
    [{ 'cache-control': 'public, max-age=100' }, 69, 86],
    [{ 'cache-control': 'max-age=100', age: '50' }, 34, 43],
    [{ 'cache-control': 'no-store' }, 419, 511],
    [{ 'cache-control': 'max-age=0' }, 6, 9],
    [{}, 419, 511],
    [{ 'cache-control': 'max-age=999999999' }, 60_000, 73_500],
  ];
  for (const [headers, still, over] of cases) {
    const { fake, verifier, clocks } = await startVerifier(t);
    const { answers } = fake;
    answers['/jwks'] = (_, response) =>
      response.writeHead(200, headers).end(JSON.stringify({ keys: fake.keys.map(({ jwk }) => jwk) }));
    await verifier.ready();
    clocks.advance(still);
    verifier.status();
    await new Promise((resolve) => setImmediate(resolve));
    t.equal(fake.asked['/jwks']?.length, 1, `${JSON.stringify(headers)} after ${still} s`);
    clocks.advance(over - still);
    await eventually(() => fake.asked['/jwks']?.length === 2).catch(() => t.fail(JSON.stringify(headers)));
    await verifier.close();
  }
});

test('while the issuer is away its keys are good for a day, and no longer', async (t) => {
  const { fake, verifier, clocks, refusal } = await startVerifier(t, { whenStale: 'accept' });
  await verifier.ready();
  await fake.stop();
  const lasting = () => fake.token({ iat: clocks.now() / 1000 - 9, exp: clocks.now() / 1000 + 9 });
  clocks.advance(86_000);
  t.equal(await refusal(await lasting()), undefined);
  clocks.advance(500);
  const error = await verifier.verify(await lasting()).catch((thrown) => thrown);
  t.match(error, { code: 'keys_unavailable', error: 'temporarily_unavailable', status: 503 });
  t.type(error.cause, Error, 'with what went wrong');
  await fake.listen();
  await eventually(async () => {
    clocks.advance(30);
    return (await refusal(await lasting())) === undefined;
  });
});

test('where the issuer cannot be had at the start tokens are refused at once, and few attempts are made', async (t) => {
  let attempts = 0;
  const counting: typeof fetch = (...request) => {
    attempts += 1;
    return fetch(...request);
  };
  const { fake, verifier, clocks, refusal } = await startVerifier(t, { fetch: counting });
  await fake.stop();
  await t.rejects(verifier.ready(), { code: 'keys_unavailable' });
  const token = await fake.token();
  for (let times = 0; times < 200; times += 1) t.equal(await refusal(token), 'keys_unavailable');
  t.ok(attempts < 10, `${attempts} attempts`);
  await fake.listen();
  await eventually(async () => {
    clocks.advance(1);
    return (await refusal(token)) === undefined;
  });
});

test('metadata and keys that are not as they must be are as none', async (t) => {
  const { fake } = await startVerifier(t);
  const metadata = '/.well-known/openid-configuration';
  const { [metadata]: goodMetadata, '/jwks': goodKeys } = fake.answers;
  const text = (body: string) => (_: unknown, response: { end(text: string): void }) => response.end(body);
  const document = { issuer: fake.issuer, jwks_uri: `${fake.issuer}/jwks` };
  const bad: [path: string, answer: unknown][] = [
    [metadata, text(JSON.stringify({ ...document, issuer: `${fake.issuer}/` }))],
    [metadata, text(JSON.stringify({ ...document, jwks_uri: undefined }))],
    [metadata, text(JSON.stringify({ ...document, jwks_uri: 'http://keys.example/jwks' }))],
    [metadata, text(JSON.stringify({ ...document, jwks_uri: ['x'] }))],
    [metadata, text(`[${JSON.stringify(document)}]`)],
    [metadata, text('<html>')],
    [metadata, text(`${JSON.stringify(document)}${' '.repeat(1_000_000)}`)],
    ['/jwks', text('{"keys":{}}')],
    ['/jwks', text('null')],
    ['/jwks', text('\xff')],
  ];
  for (const [path, answer] of bad) {
    Object.assign(fake.answers, { [metadata]: goodMetadata, '/jwks': goodKeys, [path]: answer });
    const verifier = createVerifier({ issuer: fake.issuer, audience: fake.audience });
    t.equal(await refusalOf(verifier, await fake.token()), 'keys_unavailable');
    await verifier.close();
  }
  Object.assign(fake.answers, { [metadata]: goodMetadata });
  for (const status of [301, 302, 307, 404, 500]) {
    fake.answers['/jwks'] = (_, response) => response.writeHead(status, { location: '/elsewhere' }).end('{"keys":[]}');
    const verifier = createVerifier({ issuer: fake.issuer, audience: fake.audience });
    t.equal(await refusalOf(verifier, await fake.token()), 'keys_unavailable', String(status));
    await verifier.close();
  }
  t.notOk('/elsewhere' in fake.asked, 'no redirect is followed');
});

test('keys stay in use while the issuer answers nonsense', async (t) => {
  const { fake, verifier, clocks, refusal } = await startVerifier(t);
  await verifier.ready();
  fake.answers['/jwks'] = (_, response) => response.end('{"keys":');
  clocks.advance(590);
  await eventually(() => (fake.asked['/jwks']?.length ?? 0) > 1);
  t.equal(await refusal(await fake.token({ iat: 1, exp: 3e9 })), undefined);
});

test('keys that are for anything else are no keys', async (t) => {
  const { fake, verifier, refusal } = await startVerifier(t);
  const [main, wrong, small, encrypting] = [await newKey(), await newKey(), await newKey('RS256'), await newKey()];
  const secret = createSecretKey(Buffer.alloc(32, 7));
  const { publicKey, privateKey } = await generateKeyPair('ES384');
  const weak = { ...small.jwk, n: small.jwk.n?.slice(0, 171) };
  const twice = { ...wrong.jwk, kid: main.kid };
  fake.answers['/jwks'] = (_, response) => {
    const others = [null, 7, [], {}, { kid: 'x' }, { ...main.jwk, kid: 7 }, { ...main.jwk, x: 'AA', kid: 'broken' }];
    const keys = [
      ...others,
      { kty: 'oct', k: Buffer.alloc(32, 7).toString('base64url'), alg: 'HS256', kid: 'oct' },
      { kty: 'oct', k: Buffer.alloc(32, 7).toString('base64url'), alg: 'ES256', kid: 'oct' },
      { ...wrong.jwk, alg: 'RS256' },
      { ...encrypting.jwk, use: 'enc' },
      weak,
      { ...main.jwk, d: 'AAAA' },
      twice,
    ];
    exportJWK(publicKey).then((jwk) =>
      response.end(JSON.stringify({ keys: [...keys, { ...jwk, kid: 'es384', alg: 'ES384' }] })),
    );
  };
  await verifier.ready();
  t.same(verifier.status().kids, [main.kid]);
  t.equal(await refusal(await fake.token({}, {}, main)), undefined);
  t.equal(await refusal(await fake.token({}, { kid: main.kid }, wrong)), 'signature_invalid');
  const symmetric = new SignJWT({}).setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', kid: 'oct' });
  t.equal(await refusal(await symmetric.sign(secret)), 'key_unknown');
  const other = new SignJWT({}).setProtectedHeader({ alg: 'ES384', typ: 'at+jwt', kid: 'es384' });
  t.equal(await refusal(await other.sign(privateKey)), 'key_unknown');
});

test('algorithms that only some issuers have are accepted where a service names them', async (t) => {
  for (const alg of ['PS256', 'Ed25519'] as const) {
    const { fake, verifier, refusal } = await startVerifier(t);
    const key = await newKey(alg);
    fake.keys.push(key);
    const token = await fake.token({}, {}, key);
    t.equal(await refusal(token), 'key_unknown', alg);
    await verifier.close();
    const { issuer, audience } = fake;
    const other = createVerifier({ issuer, audience, algorithms: [alg] });
    t.teardown(() => other.close());
    t.equal(await refusalOf(other, token), undefined, alg);
    t.equal(await refusalOf(other, await fake.token()), 'key_unknown', `${alg} alone`);
    t.equal(await refusalOf(other, await fake.token({}, { kid: key.kid })), 'algorithm_mismatch');
  }
});
