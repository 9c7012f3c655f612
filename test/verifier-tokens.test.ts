/** What the verifier accepts of an issuer, and what it makes of everything else. */
import { randomUUID } from 'node:crypto';
import { createVerifier, type VerifierOptions } from '@keyturn/verifier';
import { base64url, CompactSign, type CryptoKey, UnsecuredJWT } from 'jose';
import tap, { type Test, test } from 'tap';
import { newKey, startFakeIssuer } from './support/fake-issuer.ts';
import { createRandom } from './support/random.ts';
import { refusalOf } from './support/verifier.ts';

const fake = await startFakeIssuer(tap);
const good = await fake.token();

function verifierOf(t: Test, values: Partial<VerifierOptions> = {}) {
  const verifier = createVerifier({
    issuer: fake.issuer,
    audience: fake.audience,
    ...values,
  });
  t.teardown(() => verifier.close());
  return verifier;
}

const fakeVerifier = verifierOf(tap as unknown as Test);

/** The code with which a token is refused; undefined if it is not. */
const refusal = (token: string, verifier = fakeVerifier) => refusalOf(verifier, token);

test('every claim is checked for what it says and for its type', async (t) => {
  const seconds = () => Math.floor(Date.now() / 1000);
  const now = seconds();
  // As of the moment when each is shown: a second more would be another case.
  const timed = (now: number): [claims: Record<string, unknown>, code: string | undefined][] => [
    [{ exp: now - 4 }, undefined],
    [{ exp: now - 5 }, 'token_expired'],
    [{ iat: now + 4 }, undefined],
    [{ iat: now + 7 }, 'token_not_yet_valid'],
    [{ nbf: now + 4 }, undefined],
    [{ nbf: now + 7 }, 'token_not_yet_valid'],
  ];
  for (const at of timed(now).keys()) {
    const [claims, code] = timed(seconds())[at] ?? [{}, 'none'];
    t.equal(await refusal(await fake.token(claims)), code, JSON.stringify(claims));
  }
  const cases: [claims: Record<string, unknown>, code: string | undefined][] = [
    [{}, undefined],
    [{ iss: 'https://other.example' }, 'issuer_mismatch'],
    [{ iss: `${fake.issuer}/` }, 'issuer_mismatch'],
    [{ aud: ['https://other.example', fake.audience] }, undefined],
    [{ aud: 'https://other.example' }, 'audience_mismatch'],
    [{ aud: `${fake.audience}/` }, 'audience_mismatch'],
    [{ aud: [] }, 'audience_mismatch'],
    [{ roles: ['admin'], permissions: [], amr: ['pwd'], scope: '', sub_epoch: 3, client_epoch: 0 }, undefined],
  ];
  const wrong: Record<string, unknown[]> = {
    iss: [undefined, 7, null, ['x']],
    sub: [undefined, '', 7, null, {}],
    aud: [undefined, '', 7, null, { 0: fake.audience }, [fake.audience, 7], [[fake.audience]]],
    client_id: [undefined, '', true],
    jti: [undefined, '', 7, [good]],
    iat: [undefined, String(now), null, -1, []],
    exp: [undefined, String(now + 600), null, true, [now + 600]],
    nbf: ['0', null, {}],
    auth_time: [String(now)],
    scope: [['orders:read'], 7, null],
    gid: [7],
    csrf: [{}],
    roles: ['admin', [7], {}],
    permissions: ['all', [null]],
    amr: ['pwd'],
    sub_epoch: ['1', -1, 0.5, null],
    client_epoch: [true, 2 ** 60],
  };
  for (const [name, values] of Object.entries(wrong))
    for (const value of values) cases.push([{ [name]: value }, 'claims_invalid']);
  for (const [claims, code] of cases)
    t.equal(await refusal(await fake.token(claims)), code, JSON.stringify(claims) ?? '');
  t.same(await fakeVerifier.verify(good).then(({ iss, aud }) => [iss, aud]), [fake.issuer, fake.audience]);
});

test('numbers that JSON can write and no clock can show are refused', async (t) => {
  const [key] = fake.keys;
  const header = { alg: 'ES256', typ: 'at+jwt', kid: key?.kid ?? '' };
  const payload = JSON.stringify({ ...decode(good, 1), exp: 0 }).replace('"exp":0', '"exp":1e999');
  for (const text of [payload, '[]', 'null', '7', '', '{"exp":', '\uFEFF{}']) {
    const sign = new CompactSign(new TextEncoder().encode(text)).setProtectedHeader(header);
    t.equal(await refusal(await sign.sign(key?.privateKey as CryptoKey)), text ? 'claims_invalid' : 'token_malformed');
  }
});

test('a header that is not the one of an access token by a known key is refused', async (t) => {
  const rsa = await newKey('RS256');
  fake.keys.push(rsa);
  t.teardown(() => fake.keys.pop());
  const verifier = verifierOf(t);
  const stranger = await newKey('ES256', rsa.kid);
  const cases: [token: string, code: string | undefined][] = [
    [await fake.token({}, {}, rsa), undefined],
    [await fake.token({}, { typ: 'application/AT+JWT' }), undefined],
    [await fake.token({}, { typ: 'JWT' }), 'type_mismatch'],
    [await fake.token({}, { typ: undefined }), 'type_mismatch'],
    [await fake.token({}, { typ: 'at+jwt+x' }), 'type_mismatch'],
    [await fake.token({}, { kid: undefined }), 'token_malformed'],
    [await fake.token({}, { kid: 'nobody' }), 'key_unknown'],
    [await fake.token({}, { kid: '__proto__' }), 'key_unknown'],
    [await fake.token({}, {}, stranger), 'algorithm_mismatch'],
    [await fake.token({}, { kid: fake.keys[0]?.kid }, stranger), 'signature_invalid'],
    [
      await fake.token({}, { kid: fake.keys[0]?.kid, jwk: stranger.jwk, jku: `${fake.issuer}/jwks` }, stranger),
      'signature_invalid',
    ],
    [withHeader(good, { crit: [] }), 'token_malformed'],
    [withHeader(good, { crit: ['x'], x: 1 }), 'token_malformed'],
    [withHeader(good, { b64: false }), 'token_malformed'],
    [withHeader(good, { alg: 'none' }), 'algorithm_mismatch'],
    [withHeader(good, { alg: 'HS256' }), 'algorithm_mismatch'],
    [withHeader(good, { alg: 'RS256' }), 'algorithm_mismatch'],
    [withHeader(good, { alg: 7 }), 'algorithm_mismatch'],
    [withHeader(good, { zip: 'DEF' }), 'signature_invalid'],
    [new UnsecuredJWT(decode(good, 1)).encode(), 'token_malformed'],
    [`${base64url.encode('"text"')}.${good.split('.').slice(1).join('.')}`, 'token_malformed'],
    [`${base64url.encode('{')}.${good.split('.').slice(1).join('.')}`, 'token_malformed'],
  ];
  for (const [token, code] of cases) t.equal(await refusal(token, verifier), code, JSON.stringify(decode(token, 0)));
});

test('a token has one spelling, one form and a size', async (t) => {
  const [header = '', payload = '', signature = ''] = good.split('.');
  const spelt = (...parts: string[]) => parts.join('.');
  const surplus = signature.slice(0, -1) + String.fromCharCode(signature.charCodeAt(signature.length - 1) + 1);
  const malformed = [
    '',
    '.',
    '..',
    'x',
    'Bearer x',
    header,
    spelt(header, payload),
    spelt(header, payload, signature, ''),
    spelt(header, payload, signature, 'x'),
    spelt(header, payload, ''),
    spelt(header, '', signature),
    spelt('', payload, signature),
    spelt(header, payload, surplus),
    spelt(header, payload, `${signature}=`),
    spelt(header, payload, `${signature}==`),
    spelt(header, payload, `${signature} `),
    spelt(header, payload, `${signature}\n`),
    ` ${good}`,
    good.replace('.', '\n.'),
    good
      .replaceAll('_', '/')
      .replaceAll('-', '+')
      .replace(/\.([^.]*)$/, '.+$1'),
    `${header}A.${payload}.${signature}`.replace(/^(.{5}).*?\./, '$1.'),
    'A'.repeat(16_385),
    `${good}${'A'.repeat(16_384)}`,
    `é${good}`,
    `\0${good}`,
  ];
  for (const token of malformed) t.equal(await refusal(token), 'token_malformed', JSON.stringify(token.slice(0, 60)));
  for (const token of [undefined, null, 7, {}, [good], Buffer.from(good)])
    t.equal(await refusal(token as never), 'token_malformed', typeof token);
  t.equal(await refusal(good), undefined);
});

test('ten thousand mutated tokens: none is accepted, and none brings any other error', async (t) => {
  const random = createRandom(4);
  const signs = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ é\0{}"';
  const others = [
    good,
    await fake.token(),
    await fake.token({ aud: 'https://other.example' }),
    await fake.token({}, {}, await newKey('RS256')),
  ];
  const codes: Record<string, number> = {};
  const mutate = (token: string): string => {
    const at = random.whole(0, token.length - 1);
    const sign = signs.charAt(random.whole(0, signs.length - 1));
    const parts = token.split('.');
    const part = random.whole(0, 2);
    switch (random.whole(0, 6)) {
      case 0:
        return token.slice(0, at) + sign + token.slice(at + 1);
      case 1:
        return token.slice(0, at) + sign + token.slice(at);
      case 2:
        return token.slice(0, at) + token.slice(at + random.whole(1, 40));
      case 3:
        return token.slice(0, at) + token.slice(at, at + 9) + token.slice(at);
      case 4:
        return parts.with(part, random.pick(others as [string]).split('.')[part] ?? '').join('.');
      case 5:
        return parts.with(0, base64url.encode(mutateText(base64url.decode(parts[0] ?? '')))).join('.');
      default:
        return parts.with(1, base64url.encode(mutateText(base64url.decode(parts[1] ?? '')))).join('.');
    }
  };
  const mutateText = (bytes: Uint8Array) => {
    const copy = Uint8Array.from(bytes);
    for (let times = random.whole(1, 3); times > 0; times -= 1) {
      copy[random.whole(0, copy.length - 1)] = random.whole(0, 255);
    }
    return copy;
  };
  const tokens: string[] = [];
  while (tokens.length < 10_000) {
    const token = mutate(good);
    if (!others.includes(token)) tokens.push(token);
  }
  for (let at = 0; at < tokens.length; at += 50) {
    const refused = await Promise.all(tokens.slice(at, at + 50).map((token) => refusal(token)));
    refused.forEach((code, index) => {
      if (code === undefined) t.fail('accepted', { token: tokens[at + index] });
      else codes[code] = (codes[code] ?? 0) + 1;
    });
  }
  t.ok((codes.signature_invalid ?? 0) > 2_000, 'many of them were as good as a token but for the signature');
  t.ok((codes.token_malformed ?? 0) > 1_000);
  t.equal((fake.asked['/jwks'] ?? []).length <= 4, true, 'keys that nobody has were asked for once in a while only');
});

test('options that cannot be meant are refused at once', async (t) => {
  const base = { issuer: fake.issuer, audience: fake.audience };
  for (const wrong of [
    { issuer: 'http://id.example' },
    { issuer: 'id.example' },
    { issuer: '' },
    { audience: '' },
    { audience: [] },
    { algorithms: ['HS256'] },
    { algorithms: ['none'] },
    { algorithms: [] },
    { maxStaleness: 0 },
    { maxStaleness: Number.NaN },
  ])
    t.throws(() => createVerifier({ ...base, ...(wrong as object) }), TypeError, JSON.stringify(wrong));
});

test('a refusal says a stable code, its OAuth error and its status, and repeats nothing', async (t) => {
  const error = await fakeVerifier.verify(`${good}${randomUUID()}x`).catch((thrown) => thrown);
  t.match(error, { name: 'TokenError', code: /^\w+$/, error: 'invalid_token', status: 401 });
  t.ok(error instanceof Error);
  t.match(error.message, /^[ -~]+$/);
  t.notMatch(error.message, /["\\]/);
});

function decode(token: string, part: 0 | 1): Record<string, unknown> {
  try {
    return JSON.parse(new TextDecoder().decode(base64url.decode(token.split('.')[part] ?? '')));
  } catch {
    return {};
  }
}

function withHeader(token: string, members: object): string {
  const [, ...rest] = token.split('.');
  return [base64url.encode(JSON.stringify({ ...decode(token, 0), ...members })), ...rest].join('.');
}
