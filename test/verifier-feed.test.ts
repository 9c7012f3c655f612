/** How revocations reach the verifier. */
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { revocationDigest } from '@keyturn/verifier';
import { test } from 'tap';
import type { Entry, FakeIssuer } from './support/fake-issuer.ts';
import { eventually } from './support/process.ts';
import { startVerifier } from './support/verifier.ts';

const soon = () => Math.floor(Date.now() / 1000) + 700;
const entry = (kind: 'jti' | 'kid' | 'sub' | 'client', name: string, epochBelow?: number): Entry =>
  epochBelow === undefined
    ? [revocationDigest(kind, name), soon()]
    : [revocationDigest(kind, name), soon(), epochBelow];
const following = (fake: FakeIssuer) => eventually(() => fake.streams.size === 1);
const streamOf = (fake: FakeIssuer) => [...fake.streams][0] as ServerResponse;

/** A token, and what revokes it. */
async function victim(fake: FakeIssuer): Promise<{ token: string; entry: Entry }> {
  const jti = randomUUID();
  return { token: await fake.token({ jti }), entry: entry('jti', jti) };
}

test('what was revoked before the start is void from the first token on', async (t) => {
  const { fake, refusal } = await startVerifier(t);
  const { token, entry } = await victim(fake);
  fake.entries.push(entry);
  t.equal(await refusal(token), 'token_revoked');
  t.equal(await refusal(await fake.token()), undefined);
});

test('each kind of revocation voids what it names, as it happens, and nothing else', async (t) => {
  const { fake, verifier, refusal } = await startVerifier(t);
  await verifier.ready();
  await following(fake);
  const gid = revocationDigest('grant', 'a grant');
  const kid = fake.keys[0]?.kid ?? '';
  const cases: [claims: Record<string, unknown>, entry: Entry, spared: Record<string, unknown>][] = [
    [{ jti: 'one' }, entry('jti', 'one'), { jti: 'one ' }],
    [{ gid }, [gid, soon()], { gid: revocationDigest('grant', 'another') }],
    [{ sub: 'ada' }, entry('sub', 'ada', 1), { sub: 'ada', sub_epoch: 1 }],
    [{ sub: 'bob', sub_epoch: 6 }, entry('sub', 'bob', 7), { sub: 'bob', sub_epoch: 7 }],
    [{ client_id: 'shop', client_epoch: 1 }, entry('client', 'shop', 2), { sub: 'shop', client_epoch: 2 }],
    [{}, entry('kid', kid), {}],
  ];
  for (const [claims, revocation, spared] of cases) {
    const token = await fake.token(claims);
    const other = await fake.token(spared);
    t.equal(await refusal(token), undefined);
    fake.revoke(revocation);
    const took = await eventually(async () => (await refusal(token)) === 'token_revoked');
    t.ok(took < 250, `${JSON.stringify(claims)}: ${took} ms`);
    if (revocation !== cases.at(-1)?.[1]) t.equal(await refusal(other), undefined);
  }
  t.match(verifier.status().revocations, { source: 'stream', entries: 6, stale: false, position: fake.position });
});

test('a stream that is cut in the middle of an event is taken up where it was', async (t) => {
  const { fake, verifier, refusal } = await startVerifier(t);
  await verifier.ready();
  await following(fake);
  await eventually(() => verifier.status().revocations.source === 'stream');
  const [half, whole] = [await victim(fake), await victim(fake)];
  const before = fake.position;
  const data = JSON.stringify({ asOf: fake.asOf(), sentAt: fake.clock(), entries: [half.entry] });
  streamOf(fake).write(`id: 3f9a6c0d51b2e874-99\nevent: revocations\ndata: ${data}\n`);
  await delay(20);
  streamOf(fake).destroy();
  await eventually(() => fake.streams.size === 0);
  await following(fake);
  t.equal(fake.asked['/revocations/stream']?.at(-1)?.headers['last-event-id'], before);
  t.equal(await refusal(half.token), undefined, 'an event that did not end was none');
  fake.revoke(whole.entry);
  await eventually(async () => (await refusal(whole.token)) === 'token_revoked');
});

test('however an event comes in pieces, it is one', async (t) => {
  const { fake, verifier, refusal } = await startVerifier(t);
  await verifier.ready();
  await following(fake);
  const { token, entry: revocation } = await victim(fake);
  const times = { asOf: fake.asOf(), sentAt: fake.clock() };
  const data = JSON.stringify({ ...times, entries: [revocation], note: 'größer als 𝟏' }).replace(
    ',"entries"',
    '\r\ndata:,"entries"',
  );
  const text = `: a comment\r\nretry: 1\r\nid:${fake.position}\r\nevent: something new\r\ndata: x\r\n\r\nid: ${fake.position}\r\nevent: revocations\r\ndata: ${data}\r\n\r\n`;
  for (const byte of Buffer.from(text)) {
    streamOf(fake).write(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await eventually(async () => (await refusal(token)) === 'token_revoked');
  t.equal(fake.asked['/revocations/stream']?.length, 1, 'over one connection');
});

test('where there is no stream the feed is asked every second, for what is new alone', async (t) => {
  const { fake, verifier, clocks, refusal } = await startVerifier(t);
  fake.answers['/revocations/stream'] = (_, response) => response.writeHead(503).end();
  await verifier.ready();
  const { token, entry } = await victim(fake);
  fake.revoke(entry);
  const took = await eventually(async () => (await refusal(token)) === 'token_revoked');
  t.ok(took < 2_000, `${took} ms`);
  const since = fake.position;
  const asked = fake.asked['/revocations'] ?? [];
  await eventually(() => {
    clocks.advance(0.2);
    return asked.at(-1)?.headers['if-none-match'] !== undefined;
  });
  t.equal(asked.at(-1)?.url, `/revocations?since=${since}`);
  t.equal(verifier.status().revocations.source, 'polling');
  t.ok((fake.asked['/revocations/stream']?.length ?? 0) > 0, 'the stream was tried');
});

test('where all places at the stream are taken it is left alone for as long as the issuer says', async (t) => {
  const client = { id: 'client_é', secret: 'a b:c' };
  const { fake, verifier, clocks } = await startVerifier(t, { client });
  const stream = fake.answers['/revocations/stream'];
  fake.answers['/revocations/stream'] = (_, response) => response.writeHead(429, { 'retry-after': '40' }).end();
  await verifier.ready();
  await eventually(() => fake.asked['/revocations/stream']?.length === 1);
  fake.answers['/revocations/stream'] = stream as never;
  const [asked] = fake.asked['/revocations/stream'] ?? [];
  t.equal(asked?.headers.authorization, `Basic ${btoa('client_%C3%A9:a+b%3Ac')}`, 'RFC 6749 §2.3.1');
  clocks.advance(39);
  await eventually(() => (fake.asked['/revocations']?.length ?? 0) > 1);
  t.equal(fake.asked['/revocations/stream']?.length, 1);
  t.equal(fake.asked['/revocations']?.at(-1)?.headers.authorization, undefined, 'what is public needs no secret');
  clocks.advance(3);
  await following(fake);
});

test('a stream that has fallen silent is given up', async (t) => {
  const { fake, verifier, clocks, refusal } = await startVerifier(t);
  await verifier.ready();
  await following(fake);
  const [first] = fake.streams;
  clocks.advance(29);
  fake.heartbeat();
  await delay(300);
  t.ok(fake.streams.has(first as ServerResponse), 'a heartbeat in time keeps it');
  clocks.advance(31);
  await eventually(() => !fake.streams.has(first as ServerResponse));
  clocks.advance(2);
  await following(fake);
  const { token, entry } = await victim(fake);
  fake.revoke(entry);
  await eventually(async () => (await refusal(token)) === 'token_revoked');
});

test('a stream that does not begin keeps nobody from asking', async (t) => {
  const { fake, verifier, clocks, refusal } = await startVerifier(t);
  fake.answers['/revocations/stream'] = () => undefined;
  await verifier.ready();
  await eventually(() => fake.asked['/revocations/stream'] !== undefined);
  const { token, entry } = await victim(fake);
  fake.revoke(entry);
  await eventually(async () => {
    clocks.advance(0.2);
    return (await refusal(token)) === 'token_revoked';
  });
});

test('after a restart from a backup the feed has another name: both are known then, and nothing is forgotten', async (t) => {
  const { fake, verifier, clocks, refusal } = await startVerifier(t);
  const [lost, kept, added] = [await victim(fake), await victim(fake), await victim(fake)];
  fake.entries.push(lost.entry, kept.entry);
  await verifier.ready();
  await following(fake);
  await fake.stop();
  fake.entries.splice(0, 1);
  fake.entries.push(added.entry);
  fake.position = '00000000deadbeef-1';
  await fake.listen();
  await eventually(() => {
    clocks.advance(1);
    return verifier.status().revocations.position === fake.position;
  });
  for (const { token } of [lost, kept, added]) t.equal(await refusal(token), 'token_revoked');
  t.equal(verifier.status().revocations.entries, 3);
});

test('an epoch never goes back, nor does the time until which an entry is needed', async (t) => {
  const { fake, verifier, refusal } = await startVerifier(t);
  await verifier.ready();
  await following(fake);
  const seen = await victim(fake);
  const digest = revocationDigest('sub', 'ada');
  fake.revoke([digest, soon(), 5]);
  fake.revoke([digest, 1, 3], [seen.entry[0], soon()], [seen.entry[0], 1]);
  await eventually(async () => (await refusal(seen.token)) === 'token_revoked');
  t.equal(await refusal(await fake.token({ sub: 'ada', sub_epoch: 4 })), 'token_revoked');
  t.equal(await refusal(await fake.token({ sub: 'ada', sub_epoch: 5 })), undefined);
});
