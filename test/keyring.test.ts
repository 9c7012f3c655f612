import { randomBytes } from 'node:crypto';
import { calculateJwkThumbprint, importJWK, type JWK, jwtVerify } from 'jose';
import { test } from 'tap';
import { algorithms, generateJwkPair } from '../src/crypto/algorithms.ts';
import { openPrivateJwk, sealedUnder, sealPrivateJwk } from '../src/crypto/sealing.ts';
import { createKeyring } from '../src/keys/keyring.ts';
import { scheduleOf } from '../src/keys/lifecycle.ts';
import type { PublicJwk, SigningKey } from '../src/protocol/signing-key.ts';
import { createTestClock } from './support/clock.ts';

const schedule = scheduleOf({ signFor: 86_400, jwksMaxAge: 600, longestTokenTtl: 600, longestGrant: 86_400 });
const sealer = { id: 'kek_test', secret: randomBytes(32) };

async function makeRow(alg: string, signsFrom: number): Promise<SigningKey> {
  const { publicJwk, privateJwk } = await generateJwkPair(alg);
  return {
    kid: await calculateJwkThumbprint(publicJwk),
    alg,
    publicJwk: publicJwk as PublicJwk,
    sealedPrivateJwk: await sealPrivateJwk(privateJwk, sealer),
    createdAt: signsFrom - 10_000,
    signsFrom,
    revokedAt: null,
  };
}

function setUp(start: number) {
  const clock = createTestClock(start);
  const unreadable: string[] = [];
  const keyring = createKeyring({
    now: clock.now,
    catchUp: () => undefined,
    schedule: () => schedule,
    open: (sealed) => openPrivateJwk(sealed, sealer),
    onUnreadable: (kid) => unreadable.push(kid),
  });
  return { clock, keyring, unreadable };
}

test('every algorithm makes signatures that jose verifies, many at once', async (t) => {
  const { clock, keyring } = setUp(1000);
  const rows = await Promise.all([...algorithms.keys()].map((alg) => makeRow(alg, 0)));
  await keyring.take(rows);
  for (const { alg, publicJwk, kid } of rows) {
    const key = await importJWK(publicJwk as JWK, alg);
    // Enough for several batches, and for ES256 to meet r and s with leading zeros.
    const count = alg === 'ES256' ? 600 : 40;
    const tokens = await Promise.all(Array.from({ length: count }, (_, n) => keyring.sign(alg, 'at+jwt', { n })));
    for (const [n, token] of tokens.entries()) {
      const { payload, protectedHeader } = await jwtVerify(token, key, { currentDate: new Date(clock.now() * 1000) });
      if (payload.n !== n || protectedHeader.kid !== kid) t.fail(`the wrong token came back for ${n}`);
    }
    t.same(Object.keys(JSON.parse(Buffer.from(tokens[0]?.split('.')[0] ?? '', 'base64url').toString())), [
      'alg',
      'typ',
      'kid',
    ]);
  }
});

test('one item that cannot be signed fails alone', async (t) => {
  const { keyring } = setUp(1000);
  await keyring.take([await makeRow('ES256', 0)]);
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  const results = await Promise.allSettled([
    keyring.sign('ES256', 'at+jwt', { n: 1 }),
    keyring.sign('ES256', 'at+jwt', cyclic),
    keyring.sign('ES256', 'at+jwt', { n: 2 }),
    keyring.sign('RS256', 'at+jwt', { n: 3 }),
  ]);
  t.same(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'rejected'],
  );
  t.match(results[3], { reason: { code: 'temporarily_unavailable', status: 503 } }, 'no RS256 key is there');
});

test('the signer changes with the clock alone, to the second', async (t) => {
  const { clock, keyring } = setUp(1000);
  const [first, second] = [await makeRow('ES256', 0), await makeRow('ES256', 2000)];
  await keyring.take([second, first]);
  const kid = async () => JSON.parse(atob((await keyring.sign('ES256', 'at+jwt', {})).split('.')[0] ?? '')).kid;
  clock.set(1999);
  t.equal(await kid(), first.kid);
  const version = keyring.publishedVersion();
  clock.set(2000);
  t.equal(await kid(), second.kid);
  t.same(
    keyring.published().map((key) => key.kid),
    [second.kid, first.kid],
  );
  clock.set(2000 + schedule.keepPublished);
  t.same(
    keyring.published().map((key) => key.kid),
    [second.kid],
  );
  t.ok(keyring.publishedVersion() > version);
  const later = keyring.publishedVersion();
  clock.advance(100_000);
  t.equal(keyring.publishedVersion(), later, 'nothing more is to come');
});

test('a key that cannot be opened, or is another than its row says, does not sign; the others do', async (t) => {
  const { keyring, unreadable } = setUp(1000);
  const [good, other, swapped] = [await makeRow('ES256', 0), await makeRow('RS256', 0), await makeRow('RS256', 0)];
  const bad = { ...other, sealedPrivateJwk: swapped.sealedPrivateJwk };
  await keyring.take([good, bad]);
  t.same(unreadable, [other.kid]);
  t.ok(await keyring.sign('ES256', 'at+jwt', {}));
  await t.rejects(keyring.sign('RS256', 'at+jwt', {}), { code: 'temporarily_unavailable' });
});

test('the JWKS shows public members only', async (t) => {
  const { keyring } = setUp(1000);
  await keyring.take(await Promise.all([makeRow('ES256', 0), makeRow('RS256', 0)]));
  for (const key of keyring.published()) {
    const allowed =
      key.kty === 'RSA' ? ['kid', 'alg', 'use', 'kty', 'n', 'e'] : ['kid', 'alg', 'use', 'kty', 'crv', 'x', 'y'];
    t.same(Object.keys(key).sort(), allowed.sort());
  }
});

test('a seal opens with its own key alone, names it, and holds against every change of a character', async (t) => {
  const { privateJwk } = await generateJwkPair('ES256');
  const sealed = await sealPrivateJwk(privateJwk, sealer);
  t.equal(sealedUnder(sealed), 'kek_test');
  t.same(await openPrivateJwk(sealed, sealer), privateJwk);
  t.notMatch(sealed, String(privateJwk.d));
  await t.rejects(openPrivateJwk(sealed, { id: 'kek_test', secret: randomBytes(32) }));
  for (let at = 0; at < sealed.length; at += 7) {
    const touched = `${sealed.slice(0, at)}${sealed[at] === 'A' ? 'B' : 'A'}${sealed.slice(at + 1)}`;
    const opened = await openPrivateJwk(touched, sealer).catch(() => undefined);
    // Spare bits of a part's last character are not part of what is sealed.
    if (opened !== undefined) t.same(opened, privateJwk);
  }
});
