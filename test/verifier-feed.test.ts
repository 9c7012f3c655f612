/** How revocations reach the verifier, and how little a bad feed can do. */
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

test('a feed of nonsense neither throws, nor is believed, nor stays', async (t) => {
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on('unhandledRejection', note);
  t.teardown(() => process.off('unhandledRejection', note));
  const id = '3f9a6c0d51b2e874-1';
  const times = { asOf: Date.now() / 1000, sentAt: Date.now() / 1000 };
  const good = entry('jti', 'the victim');
  const [digest] = good;
  const event = (data: unknown, at: unknown = id, type = 'revocations') =>
    `id: ${at}\nevent: ${type}\ndata: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;
  const nonsense: (string | Buffer)[] = [
    event('{"asOf":'),
    event('null'),
    event([]),
    event(times),
    event({ ...times, entries: {} }),
    event({ ...times, entries: [good, null] }),
    event({ ...times, entries: [good, ['short', soon()]] }),
    event({ ...times, entries: [good, [`${digest.slice(0, -1)}_`, soon()]] }),
    event({ ...times, entries: [good, [digest, '1e9']] }),
    event({ ...times, entries: [good, [digest, -1]] }),
    event({ ...times, entries: [good, [digest, soon(), 0]] }),
    event({ ...times, entries: [good, [digest, soon(), '1']] }),
    event({ ...times, asOf: 'now', entries: [good] }),
    event({ sentAt: times.sentAt, entries: [good] }),
    event({ ...times, entries: [good] }, 'x-1'),
    event({ ...times, entries: [good] }, '3f9a6c0d51b2e874-'),
    event({ ...times, entries: [good] }, '3f9a6c0d51b2e874-1e9'),
    `event: revocations\ndata: ${JSON.stringify({ ...times, entries: [good] })}\n\n`,
    event(times, '', 'heartbeat'),
    Buffer.from('event: revocations\ndata: \xff\xfe\n\n', 'latin1'),
    Buffer.from('<html>'.repeat(1000)),
    '\n'.repeat(10_000),
    '',
  ];
  const others: [status: number, type: string][] = [
    [200, 'application/json'],
    [200, 'text/event-stream-x'],
    [204, 'text/event-stream'],
    [302, 'text/event-stream'],
    [404, 'text/event-stream'],
    [503, 'text/plain'],
  ];
  const answers = [
    ...nonsense.map((body) => ({ body, status: 200, type: 'text/event-stream' })),
    ...others.map(([status, type]) => ({ body: event({ ...times, entries: [good] }), status, type })),
  ];

  await Promise.all(
    answers.map(async ({ body, status, type }) => {
      const { fake, verifier, clocks, refusal } = await startVerifier(t);
      const stream = fake.answers['/revocations/stream'];
      let over = false;
      fake.answers['/revocations/stream'] = (_, response) => {
        response.writeHead(status, { 'content-type': type, location: '/elsewhere' });
        if (status !== 204) response.write(body);
        if (body.length === 0 || status === 204) response.end();
        response.once('close', () => {
          over = true;
        });
        if (body.length > 5_000 || body === '') response.end();
      };
      await verifier.ready();
      await eventually(() => over).catch(() => t.fail(`${status} ${type} ${String(body).slice(0, 200)}`));
      t.equal(await refusal(await fake.token({ jti: 'the victim' })), undefined, String(body).slice(0, 200));
      t.equal(verifier.status().revocations.entries, 0);
      fake.answers['/revocations/stream'] = stream as never;
      clocks.advance(2);
      await following(fake);
      fake.revoke(good);
      await eventually(async () => (await refusal(await fake.token({ jti: 'the victim' }))) === 'token_revoked');
    }),
  );
  t.same(unhandled, []);
});

test('an event without end does not grow in memory', async (t) => {
  const { fake, verifier, refusal } = await startVerifier(t);
  let taken = 0;
  let over = false;
  fake.answers['/revocations/stream'] = (_, response) => {
    const piece = Buffer.alloc(1_000_000, 'a');
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: ');
    const pour = () => {
      while (!over && taken < 1e9) {
        taken += piece.length;
        if (!response.write(piece)) return void response.once('drain', pour);
      }
    };
    response.once('close', () => {
      over = true;
    });
    pour();
  };
  await verifier.ready();
  await eventually(() => over);
  t.ok(taken > 30e6 && taken < 60e6, `cut after ${taken} bytes`);
  t.equal(await refusal(await fake.token()), undefined);
});

test('answers of nonsense to polls leave what is known as it is', async (t) => {
  const { fake, verifier, clocks, refusal } = await startVerifier(t);
  const token = await fake.token({ jti: 'the victim', exp: 1e10 });
  fake.entries.push([revocationDigest('jti', 'the victim'), 1e10]);
  fake.answers['/revocations/stream'] = (_, response) => response.writeHead(404).end();
  const good = fake.answers['/revocations'];
  await verifier.ready();
  const id = fake.position;
  const asOf = String(fake.asOf());
  const bad: [body: unknown, headers: Record<string, string>, status?: number][] = [
    ['', { 'revocations-as-of': asOf }],
    [{ issuer: 'https://other.example', id, entries: [] }, { 'revocations-as-of': asOf }],
    [{ id, entries: [] }, { 'revocations-as-of': asOf }],
    [{ issuer: fake.issuer, id: 7, entries: [] }, { 'revocations-as-of': asOf }],
    [{ issuer: fake.issuer, id }, { 'revocations-as-of': asOf }],
    [{ issuer: fake.issuer, id, entries: [] }, { 'revocations-as-of': 'yesterday' }],
    [{ issuer: fake.issuer, id, entries: [] }, {}],
    [
      { issuer: fake.issuer, id, entries: [] },
      { 'revocations-as-of': asOf, age: 'x' },
    ],
    [{ issuer: fake.issuer, id, entries: [] }, { 'revocations-as-of': asOf }, 206],
  ];
  let served = 0;
  fake.answers['/revocations'] = (_, response) => {
    const [body, headers, status = 200] = bad[served % bad.length] as (typeof bad)[0];
    served += 1;
    response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body));
  };
  while (served < bad.length) {
    const before = served;
    await eventually(() => {
      clocks.advance(5);
      return served > before;
    });
  }
  t.equal(await refusal(token), 'token_revoked');
  const { staleness } = verifier.status().revocations;
  t.ok((staleness ?? 0) > 5 * bad.length, 'none of them made what is known any younger');
  fake.answers['/revocations'] = good as never;
  await eventually(() => {
    clocks.advance(2);
    return (verifier.status().revocations.staleness ?? 999) < 20;
  });
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
