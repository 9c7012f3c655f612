/** How little a bad feed can do to the verifier. */
import { revocationDigest } from '@keyturn/verifier';
import { test } from 'tap';
import type { Entry } from './support/fake-issuer.ts';
import { eventually } from './support/process.ts';
import { startVerifier } from './support/verifier.ts';

const soon = () => Math.floor(Date.now() / 1000) + 700;

test('a feed of nonsense neither throws, nor is believed, nor stays', async (t) => {
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on('unhandledRejection', note);
  t.teardown(() => process.off('unhandledRejection', note));
  const id = '3f9a6c0d51b2e874-1';
  const times = { asOf: Date.now() / 1000, sentAt: Date.now() / 1000 };
  const good: Entry = [revocationDigest('jti', 'the victim'), soon()];
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
      await eventually(() => fake.streams.size === 1);
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

test('a platform whose bodies do not hear of the end of a request holds nothing up', async (t) => {
  const deaf: typeof fetch = (url, { signal: _, ...others } = {}) => fetch(url, others);
  const { fake, verifier, clocks } = await startVerifier(t, { fetch: deaf });
  await verifier.ready();
  await eventually(() => verifier.status().revocations.source === 'stream');
  const [first] = fake.streams;
  clocks.advance(31);
  await eventually(() => first !== undefined && !fake.streams.has(first));
  clocks.advance(2);
  await eventually(() => verifier.status().revocations.source === 'stream');
  await verifier.close();
  await eventually(() => fake.streams.size === 0);
});
