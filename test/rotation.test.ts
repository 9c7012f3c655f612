import { createRemoteJWKSet, jwtVerify } from 'jose';
import jsonwebtoken from 'jsonwebtoken';
import jwksClient from 'jwks-rsa';
import { type Test, test } from 'tap';
import { rotateByHand } from '../src/keys/administration.ts';
import { scheduleOf } from '../src/keys/lifecycle.ts';
import { createRevoker } from '../src/tokens/revocation.ts';
import { createTestClock, type TestClock } from './support/clock.ts';
import { get, orders, post, registerClient, registerResource, startIssuer, type TestIssuer } from './support/issuer.ts';

const times = { signFor: 86_400, jwksMaxAge: 600, longestTokenTtl: 600, longestGrant: 2_592_000 };
const schedule = scheduleOf(times);
const settings = { KEY_SIGN_FOR: '86400', JWKS_MAX_AGE: '600', ACCESS_TOKEN_TTL: '600' };
const reports = { ...orders, identifier: 'https://reports.example', alg: 'RS256' };

/** A token of each algorithm. */
async function tokens(issuer: TestIssuer, client: { basic: string }): Promise<string[]> {
  return Promise.all(
    [orders.identifier, reports.identifier].map(async (resource) => {
      const form = { grant_type: 'client_credentials', resource };
      const { status, json } = await post(issuer, '/token', form, { authorization: client.basic });
      if (status !== 200) throw new Error(JSON.stringify(json));
      return json.access_token;
    }),
  );
}

function kidOf(token: string): string {
  return JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid;
}

async function publishedKids(issuer: TestIssuer): Promise<string[]> {
  const { json } = await get(issuer, '/.well-known/jwks.json');
  return json.keys.map(({ kid }: { kid: string }) => kid).sort();
}

async function start(t: Test, clock: TestClock, listen = false) {
  const issuer = await startIssuer(t, { clock, settings, listen });
  await registerResource(issuer);
  await registerResource(issuer, reports);
  const client = await registerClient(issuer, { resources: [orders.identifier, reports.identifier] });
  return { issuer, client };
}

/** Lets time pass as a running issuer does: the keys are looked after now and then. */
async function pass(issuer: TestIssuer, clock: TestClock, seconds: number): Promise<void> {
  for (let left = seconds; left > 0; left -= 60) {
    clock.advance(Math.min(60, left));
    await issuer.app.refresh();
  }
}

test('plain jose and jwks-rsa verify tokens from before, during and after a rotation, and fetch once', async (t) => {
  const clock = createTestClock(Math.floor(Date.now() / 1000));
  const { issuer, client } = await start(t, clock, true);
  let fetches = 0;
  issuer.app.server.server.on('request', ({ url }) => {
    if (url?.startsWith('/.well-known/jwks.json')) fetches += 1;
  });
  const jwksUri = new URL(`${issuer.issuer}/.well-known/jwks.json`);
  // Two verifiers that know nothing but the issuer's URL; jose's may not fetch again within the max-age.
  const remote = createRemoteJWKSet(jwksUri, { cooldownDuration: 600_000 });
  // jwks-rsa caches each key by itself, so it fetches once for each kid it meets.
  const rsa = jwksClient({ jwksUri: jwksUri.href, cache: true, cacheMaxAge: 600_000 });

  async function verify(token: string): Promise<void> {
    const options = { issuer: issuer.issuer, audience: [orders.identifier, reports.identifier] };
    const currentDate = new Date(clock.now() * 1000);
    await jwtVerify(token, remote, { ...options, typ: 'at+jwt', currentDate });
  }
  async function verifyElsewhere(token: string): Promise<void> {
    const key = await rsa.getSigningKey(kidOf(token));
    jsonwebtoken.verify(token, key.getPublicKey(), { algorithms: ['ES256', 'RS256'], clockTimestamp: clock.now() });
  }

  // All keys that will sign below are published already, so one fetch now has to do.
  const before = await tokens(issuer, client);
  for (const token of before) await verify(token);
  t.equal(fetches, 1, 'jose has fetched once');

  await rotateByHand(issuer.database, {
    algs: ['ES256', 'RS256'],
    immediately: true,
    dryRun: false,
    now: clock.now(),
    schedule,
  });
  const during = await tokens(issuer, client);
  await issuer.app.refresh();
  const after = await tokens(issuer, client);

  t.not(kidOf(after[0] ?? ''), kidOf(before[0] ?? ''), 'ES256 has turned');
  t.not(kidOf(after[1] ?? ''), kidOf(before[1] ?? ''), 'RS256 has turned');
  for (const token of [...before, ...during, ...after]) {
    await t.resolves(verify(token));
  }
  t.equal(fetches, 1, 'and has not had to fetch again');
  for (const token of [...before, ...during, ...after]) await t.resolves(verifyElsewhere(token));
});

test('keys turn by themselves, a key is published long before it signs, and long enough after', async (t) => {
  const clock = createTestClock();
  const { issuer, client } = await start(t, clock);
  const seen = new Map<string, { published: number; signed: number }>();
  for (let hour = 0; hour < 3 * 24; hour += 1) {
    const kids = await publishedKids(issuer);
    t.ok(kids.length <= 8, 'at most four keys of each algorithm');
    for (const kid of kids) if (!seen.has(kid)) seen.set(kid, { published: clock.now(), signed: 0 });
    for (const token of await tokens(issuer, client)) {
      const key = seen.get(kidOf(token));
      if (key === undefined) throw new Error('a token by a key that is not published');
      key.signed ||= clock.now();
    }
    clock.advance(3600);
    await issuer.app.refresh();
  }
  const signed = [...seen.values()].filter((key) => key.signed > 0);
  t.ok(signed.length >= 6, 'three keys of each algorithm have signed');
  const first = Math.min(...signed.map((key) => key.published));
  for (const key of signed.filter(({ published }) => published > first)) {
    t.ok(key.signed - key.published >= schedule.lead, 'published for longer than any cache lives before it signed');
  }
});

test('a planned rotation waits until every cache must know the standby', async (t) => {
  const clock = createTestClock();
  const { issuer, client } = await start(t, clock);
  const [before] = await tokens(issuer, client);
  const options = { algs: ['ES256'], immediately: false, now: clock.now(), schedule };

  const [planned] = await rotateByHand(issuer.database, { ...options, dryRun: true });
  t.equal(planned?.signsFrom, clock.now() + schedule.lead);
  const [done] = await rotateByHand(issuer.database, { ...options, dryRun: false });
  t.same(done, planned, 'what was planned is what is done');
  await issuer.app.refresh();

  await pass(issuer, clock, schedule.lead - 1);
  t.equal(kidOf((await tokens(issuer, client))[0] ?? ''), kidOf(before ?? ''), 'the old key signs to the last second');
  await pass(issuer, clock, 1);
  t.equal(kidOf((await tokens(issuer, client))[0] ?? ''), planned?.standby?.kid, 'then the new one does');
  t.ok((await publishedKids(issuer)).includes(kidOf(before ?? '')), 'the old one stays published');
  await pass(issuer, clock, schedule.keepPublished);
  t.notOk((await publishedKids(issuer)).includes(kidOf(before ?? '')), 'until its last token has expired');
});

test('a key that has stopped signing loses its private half, and in time its row', async (t) => {
  const clock = createTestClock();
  const { issuer, client } = await start(t, clock);
  const [before] = await tokens(issuer, client);
  const kid = kidOf(before ?? '');
  await rotateByHand(issuer.database, {
    algs: ['ES256'],
    immediately: true,
    dryRun: false,
    now: clock.now(),
    schedule,
  });
  const row = () => issuer.database.prisma.signingKey.findUnique({ where: { kid } });

  await pass(issuer, clock, schedule.poll + schedule.skew);
  t.equal((await row())?.sealedPrivateJwk, null);
  t.ok(await row(), 'the public half stays');
  clock.advance(schedule.keepRow);
  await issuer.app.refresh();
  t.equal(await row(), null);
});

test('a revoked key is gone at once, and the standby signs', async (t) => {
  const clock = createTestClock();
  const { issuer, client } = await start(t, clock);
  const revoker = createRevoker({ database: issuer.database, now: clock.now, longestLife: () => 600 });
  for (let time = 0; time < 3; time += 1) {
    const kid = kidOf((await tokens(issuer, client))[0] ?? '');
    const revocation = await revoker.revokeKey(kid, schedule, 'by command');
    t.ok(revocation?.successor, 'there was a standby');
    await issuer.app.refresh();
    t.notOk((await publishedKids(issuer)).includes(kid), 'not published');
    t.equal(kidOf((await tokens(issuer, client))[0] ?? ''), revocation?.successor, 'the standby signs');
    const row = await issuer.database.prisma.signingKey.findUnique({ where: { kid } });
    t.equal(row?.sealedPrivateJwk, null, 'its private half is gone');
    t.equal((await revoker.revokeKey(kid, schedule, 'by command'))?.already, true, 'revoking it again does nothing');
  }
  t.equal(await revoker.revokeKey('nobody', schedule, 'by command'), undefined);
  const entries = await issuer.database.query('SELECT digest FROM revocation');
  t.equal(entries.length, 3, 'each is in the denylist, once');
});

test('instances that rotate at the same moment make one key', async (t) => {
  const clock = createTestClock();
  const { issuer } = await start(t, clock);
  const others = await Promise.all([1, 2].map(() => startIssuer(t, { clock, settings, beside: issuer })));
  clock.advance(times.signFor);
  await Promise.all([issuer, ...others].map(({ app }) => app.refresh()));
  const rows = await issuer.database.prisma.signingKey.findMany();
  t.equal(rows.length, 6, 'the first two of each algorithm, and one new standby of each');
  const written = await issuer.database.query(
    `SELECT act, reason FROM audit_event WHERE act = 'signing_key create' ORDER BY id`,
  );
  t.equal(written.length, 6, 'each is written down once');
  t.match(written.at(-1), { reason: 'no standby is published' });
  for (const other of others) {
    await other.app.refresh();
    t.same(await publishedKids(other), await publishedKids(issuer), 'all show the same keys');
  }
});
