/** What the verifier makes of revocations that may be old, and of clocks that may be wrong. */
import { randomUUID } from 'node:crypto';
import { type RevocationStatus, revocationDigest } from '@keyturn/verifier';
import { test } from 'tap';
import { eventually } from './support/process.ts';
import { startVerifier, type VerifierSetting } from './support/verifier.ts';

const feed = ['/revocations', '/revocations/stream'];

/** A good token that outlives the test, whatever the clocks say. */
const lasting = ({ fake }: VerifierSetting, claims = {}) => fake.token({ iat: 1, exp: 1e10, ...claims });

/** Follows the stream, so that no poll is under way. */
const following = ({ verifier }: VerifierSetting) =>
  eventually(() => verifier.status().revocations.source === 'stream');

test('what is known may grow old, to a limit; past it every token is refused until news come', async (t) => {
  const told: RevocationStatus[] = [];
  const setting = await startVerifier(t, { onStale: (status) => told.push(status) });
  const { fake, verifier, clocks, refusal } = setting;
  const token = await lasting(setting);
  await verifier.ready();
  await following(setting);
  await fake.stop();
  clocks.advance(595);
  t.equal(await refusal(token), undefined);
  t.match(verifier.status().revocations, { stale: false });
  clocks.advance(10);
  const error = await verifier.verify(token).catch((thrown) => thrown);
  t.match(error, { code: 'revocations_stale', error: 'temporarily_unavailable', status: 503 });
  t.type(error.cause, Error, 'with what went wrong');
  t.equal(await refusal(token), 'revocations_stale');
  await eventually(() => told.length > 0);
  t.match(told, [{ stale: true, source: 'none', entries: 0 }]);
  t.ok((told[0]?.staleness ?? 0) >= 605);
  t.equal(told.length, 1, 'told once');

  await fake.listen();
  clocks.advance(31);
  t.equal(await refusal(token), undefined, 'whoever comes first asks, and gets the answer');
  await fake.stop();
  clocks.advance(700);
  await eventually(() => told.length === 2);
});

test('a service may accept tokens nevertheless, and is told; those known as revoked stay void', async (t) => {
  const told: RevocationStatus[] = [];
  const setting = await startVerifier(t, {
    whenStale: 'accept',
    maxStaleness: 20,
    onStale: (status) => told.push(status),
  });
  const { fake, verifier, clocks, refusal } = setting;
  fake.entries.push([revocationDigest('jti', 'revoked'), 1e10]);
  await verifier.ready();
  await fake.stop();
  clocks.advance(86_000);
  t.equal(await refusal(await lasting(setting)), undefined);
  t.equal(await refusal(await lasting(setting, { jti: 'revoked' })), 'token_revoked');
  await eventually(() => told.length === 1);
});

test('a service may want news that are younger', async (t) => {
  const setting = await startVerifier(t, { maxStaleness: 20 });
  const { fake, verifier, clocks, refusal } = setting;
  await verifier.ready();
  await following(setting);
  await fake.stop();
  clocks.advance(18);
  t.equal(await refusal(await lasting(setting)), undefined);
  clocks.advance(3);
  t.equal(await refusal(await lasting(setting)), 'revocations_stale');
});

test('before anything is known of revocations no token is accepted', async (t) => {
  const setting = await startVerifier(t);
  const { fake, verifier, refusal } = setting;
  fake.answers['/revocations'] = (_, response) => response.writeHead(500).end();
  await t.rejects(verifier.ready(), { code: 'revocations_stale' });
  t.equal(await refusal(await lasting(setting)), 'revocations_stale');
  t.match(verifier.status().revocations, { stale: true, staleness: null, position: null, source: 'none' });
});

test('an issuer without a feed is enough only where the service says so', async (t) => {
  for (const [revocations, code] of [
    ['required', 'revocations_stale'],
    ['optional', undefined],
  ] as const) {
    const setting = await startVerifier(t, { revocations });
    const { fake, verifier, clocks, refusal } = setting;
    fake.answers['/.well-known/openid-configuration'] = (_, response) =>
      response.end(JSON.stringify({ issuer: fake.issuer, jwks_uri: `${fake.issuer}/jwks` }));
    await verifier.ready().catch((error) => t.equal(error.code, code));
    clocks.advance(3000);
    t.equal(await refusal(await lasting(setting)), code);
    t.equal(fake.asked['/revocations'], undefined);
  }
  const setting = await startVerifier(t, { revocations: 'optional' });
  await setting.verifier.ready();
  for (const path of feed) setting.fake.answers[path] = (_, response) => response.writeHead(500).end();
  setting.clocks.advance(700);
  t.equal(await setting.refusal(await lasting(setting)), 'revocations_stale', 'a feed that there is has to answer');
});

test('an instance that is cut off from its database cannot vouch for what it knows', async (t) => {
  const setting = await startVerifier(t);
  const { fake, verifier, clocks, refusal } = setting;
  await verifier.ready();
  await following(setting);
  const lastRead = fake.clock();
  fake.asOf = () => lastRead;
  for (let passed = 0; passed < 590; passed += 10) {
    clocks.advance(10);
    fake.heartbeat();
  }
  t.equal(await refusal(await lasting(setting)), undefined);
  clocks.advance(20);
  fake.heartbeat();
  t.equal(await refusal(await lasting(setting)), 'revocations_stale', 'by stream');
  await eventually(() => {
    clocks.advance(5);
    return (fake.asked['/revocations/stream']?.length ?? 0) > 1;
  }); // it looks for another instance
  clocks.advance(31);
  t.equal(await refusal(await lasting(setting)), 'revocations_stale', 'by asking');
  fake.asOf = fake.clock;
  await eventually(async () => {
    clocks.advance(5);
    return (await refusal(await lasting(setting))) === undefined;
  });
});

test('an answer from a cache is as old as it is', async (t) => {
  const setting = await startVerifier(t, { maxStaleness: 300 });
  const { fake, verifier, clocks } = setting;
  delete fake.answers['/revocations/stream'];
  const [made, send] = [fake.clock(), fake.answers['/revocations']];
  fake.answers['/revocations'] = (request, response) => {
    response.setHeader('age', '200');
    send?.(request, response);
  };
  await verifier.ready();
  const staleness = () => verifier.status().revocations.staleness ?? 0;
  t.ok(staleness() >= 199 && staleness() < 205, `${staleness()}`);
  fake.clock = () => made;
  clocks.advance(320);
  await eventually(() => (fake.asked['/revocations']?.length ?? 0) > 2);
  t.ok(verifier.status().revocations.stale, 'by the wall clock, though the answer says that it is new');
});

test('a clock that is minutes ahead or behind changes nothing but what it must', async (t) => {
  for (const [wrong, code] of [
    [300, undefined],
    [-300, undefined],
    [-86_400, undefined],
    [610, 'token_expired'],
  ] as const) {
    const setting = await startVerifier(t);
    const { fake, verifier, clocks, refusal } = setting;
    clocks.setWall(wrong);
    await verifier.ready().catch((error) => t.equal(error.code, wrong > 600 ? 'revocations_stale' : undefined));
    const jti = randomUUID();
    const [token, other] = [await fake.token({ jti }), await fake.token()];
    t.equal(await refusal(token), code, `${wrong} s`);
    await following(setting);
    fake.revoke([revocationDigest('jti', jti), fake.clock() + 700]);
    await eventually(() => verifier.status().revocations.entries === 1);
    t.equal(await refusal(token), code ?? 'token_revoked', `${wrong} s`);
    t.equal(await refusal(other), code);
  }
});

test('a late clock does not keep a token alive whose revocation is no longer in the feed', async (t) => {
  const setting = await startVerifier(t);
  const { fake, verifier, clocks, refusal } = setting;
  const token = await fake.token();
  clocks.advance(900);
  clocks.setWall(-900);
  await verifier.ready();
  t.equal(await refusal(token), 'token_expired');
});

test('a clock that jumps ahead and back makes the verifier forget nothing', async (t) => {
  const setting = await startVerifier(t);
  const { fake, verifier, clocks, refusal } = setting;
  const jti = randomUUID();
  const token = await fake.token({ jti });
  fake.entries.push([revocationDigest('jti', jti), fake.clock() + 700]);
  await verifier.ready();
  await following(setting);
  clocks.setWall(7200);
  for (let minutes = 0; minutes < 3; minutes += 1) {
    clocks.advance(61);
    fake.heartbeat();
    await new Promise((resolve) => setTimeout(resolve, 300)); // a beat, in which what is over would be let go
  }
  t.equal(verifier.status().revocations.entries, 1);
  clocks.setWall(-7200);
  t.equal(await refusal(token), 'token_revoked');
});

test('entries are let go when the issuer says that their time is over', async (t) => {
  const setting = await startVerifier(t);
  const { fake, verifier, clocks } = setting;
  const digests = ['a', 'b', 'c'].map((name) => revocationDigest('jti', name));
  fake.entries.push([digests[0] ?? '', fake.clock() + 100], [digests[1] ?? '', fake.clock() + 1000]);
  fake.entries.push([digests[2] ?? '', fake.clock() + 100, 1]);
  await verifier.ready();
  t.equal(verifier.status().revocations.entries, 3);
  fake.entries.splice(0);
  await eventually(() => {
    clocks.advance(5);
    fake.heartbeat();
    return verifier.status().revocations.entries === 1;
  });
});

test('a machine that slept finds out by the wall clock, and asks before it answers', async (t) => {
  const setting = await startVerifier(t);
  const { fake, verifier, clocks, refusal } = setting;
  const jti = randomUUID();
  const token = await lasting(setting, { jti });
  await verifier.ready();
  await following(setting);
  const asked = fake.asked['/revocations']?.length ?? 0;
  fake.entries.push([revocationDigest('jti', jti), 1e10]);
  fake.position = '3f9a6c0d51b2e874-2';
  clocks.advance(2);
  clocks.sleep(3600);
  t.equal(await refusal(token), 'token_revoked');
  t.equal(fake.asked['/revocations']?.length, asked + 1);
});

test('with a limit below the heartbeat tokens are not refused, but the issuer is asked in between', async (t) => {
  const setting = await startVerifier(t, { maxStaleness: 5 });
  const { fake, verifier, clocks, refusal } = setting;
  await verifier.ready();
  await following(setting);
  const asked = fake.asked['/revocations']?.length ?? 0;
  for (let times = 1; times <= 3; times += 1) {
    clocks.advance(6);
    const tokens = await Promise.all(Array.from({ length: 20 }, () => lasting(setting)));
    t.same(new Set(await Promise.all(tokens.map(refusal))), new Set([undefined]));
    t.equal(fake.asked['/revocations']?.length, asked + times, 'once for all of them');
  }
});
