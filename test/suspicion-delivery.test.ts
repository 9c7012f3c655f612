import { pino } from 'pino';
import tap, { type Test, test } from 'tap';
import { openDatabase } from '../src/store/database.ts';
import { forgetOldDeliveries } from '../src/store/delivery.ts';
import { tellSuspicion } from '../src/store/suspicion.ts';
import { createEvents, type SecurityEvent } from '../src/suspicion/events.ts';
import { createTestClock } from './support/clock.ts';
import { freshDatabase } from './support/database.ts';
import { freePort } from './support/issuer.ts';
import { type Answering, startLogoutReceiver } from './support/logout-receiver.ts';

const accepts: Answering = (response) => response.writeHead(202).end();

const { url: databaseUrl } = await freshDatabase(tap);
const database = openDatabase(databaseUrl);
tap.teardown(() => database.close());

/** The outbox alone, empty. */
async function start(
  t: Test,
  { answering = accepts, timeout = 10_000 }: { answering?: Answering; timeout?: number } = {},
) {
  await database.query('TRUNCATE event_delivery, suspicion');
  const clock = createTestClock();
  const receiver = await startLogoutReceiver(t, answering);
  const log: Record<string, unknown>[] = [];
  const instance = (to = receiver.uri) =>
    createEvents({
      database,
      url: to,
      securityEvent: async ({ id, at, audience }: SecurityEvent) => `${id} ${at} ${audience}`,
      now: clock.now,
      log: pino({}, { write: (line: string) => void log.push(JSON.parse(line)) }),
      timeout,
    });
  const events = instance();
  t.teardown(events.stop);
  let told = 0;
  return {
    clock,
    receiver,
    log,
    events,
    instance,
    /** Writes a suspicion down, as the rules do. */
    tell() {
      told += 1;
      const suspicion = { rule: 'code-replay' as const, target: `address ${told}`, address: null, reason: 'a test' };
      return tellSuspicion(database, `event_${told}`, `key ${told}`, suspicion, clock.now(), clock.now() - 600, true);
    },
    rows: () => database.prisma.eventDelivery.findMany({ orderBy: { id: 'asc' } }),
  };
}

test('an event is posted as RFC 8935 says, and is over when the answer is 202', async (t) => {
  const { tell, events, receiver, rows, clock } = await start(t);
  t.same(await tell(), { now: true, queued: true });
  const at = clock.now();
  clock.advance(5);
  await events.attemptDue();
  const [notice] = receiver.notices;
  t.match(notice, {
    method: 'POST',
    headers: { 'content-type': 'application/secevent+jwt', accept: 'application/json' },
  });
  t.equal(notice?.body, `event_1 ${at} ${new URL(receiver.uri).origin}`);
  t.match(await rows(), [{ attempts: 1, nextAttemptAt: null, failure: null, deliveredAt: Date }]);
  clock.advance(86_400);
  await events.attemptDue();
  t.equal(receiver.notices.length, 1);
});

test('a receiver that fails is tried again after growing pauses, with the same token, and given up after a day', async (t) => {
  const { tell, events, receiver, rows, log, clock } = await start(t, {
    answering: (response) => response.writeHead(500).end('<b>what the receiver says</b>'),
  });
  await tell();
  await events.attemptDue();
  for (const [at, wait] of [1, 10, 60, 600, 3_600, 14_400, 57_600].entries()) {
    clock.advance(wait - 1);
    await events.attemptDue();
    t.equal(receiver.notices.length, at + 1, `not before ${wait} s`);
    clock.advance(1);
    await events.attemptDue();
    t.equal(receiver.notices.length, at + 2, `after ${wait} s`);
  }
  t.match(await rows(), [{ failure: 'it answered 500', attempts: 8, deliveredAt: null, nextAttemptAt: null }]);
  t.equal(new Set(receiver.notices.map(({ body }) => body)).size, 1);
  t.match(log.at(-1), { level: 40, event: 'event_1', msg: 'an event could not be delivered: given up' });
  t.notMatch(JSON.stringify(log), /receiver says/);
});

test('why it was not taken is recorded in words of ours', async (t) => {
  const json = (status: number, body: string): Answering => {
    return (response) => response.writeHead(status, { 'content-type': 'application/json' }).end(body);
  };
  const cases: [Answering, string][] = [
    [json(400, '{"err":"invalid_key","description":"evil"}'), 'it answered 400 invalid_key'],
    [json(400, '{"err":"evil\\n"}'), 'it answered 400'],
    [json(400, 'null'), 'it answered 400'],
    [json(400, `{"err":"invalid_key","description":"${'x'.repeat(100_000)}"}`), 'it answered 400'],
    [json(200, '{}'), 'it answered 200'],
    [json(401, '{"err":"access_denied"}'), 'it answered 401'],
    [(response) => response.writeHead(307, { location: 'http://127.0.0.1:9/' }).end(), 'it answered 307'],
    [(response) => response.destroy(), 'it could not be reached (UND_ERR_SOCKET)'],
    [() => {}, 'it did not answer within 0.3 s'],
    [(response) => response.writeHead(400).write('{"err":'), 'it answered 400'],
  ];
  let answer = accepts;
  const { tell, events } = await start(t, { answering: (response) => answer(response), timeout: 300 });
  for (const [answering, failure] of cases) {
    answer = answering;
    await tell();
    await events.attemptDue();
    const row = await database.prisma.eventDelivery.findFirst({ where: { attempts: 1 } });
    t.match(row, { failure, nextAttemptAt: Date, deliveredAt: null }, failure);
    await database.query('TRUNCATE event_delivery');
  }
});

test('a receiver that comes back gets all that waited, each once, from whichever instances', async (t) => {
  let up = false;
  const answering: Answering = (response) => response.writeHead(up ? 202 : 503).end();
  const { tell, events, instance, receiver, clock, rows } = await start(t, { answering });
  for (let count = 0; count < 25; count += 1) await tell();
  const nobody = instance(`http://127.0.0.1:${await freePort()}/`);
  for (const one of [nobody, events, nobody]) await one.attemptDue();
  t.ok((await rows()).every(({ deliveredAt }) => deliveredAt === null));
  up = true;
  const before = receiver.notices.length;
  clock.advance(3_600);
  const all = [events, instance(), instance()];
  for (let round = 0; round < 3; round += 1) await Promise.all(all.map((one) => one.attemptDue()));
  t.equal(receiver.notices.length - before, 25);
  t.ok((await rows()).every(({ deliveredAt }) => deliveredAt !== null));
});

test('an attempt that was cut off is made again by somebody else', async (t) => {
  const { tell, events, instance, receiver, clock } = await start(t, { answering: () => {} });
  await tell();
  const dying = events.attemptDue();
  await receiver.next();
  await events.stop();
  await dying;
  clock.advance(15);
  const next = instance();
  const attempt = next.attemptDue();
  await receiver.next();
  t.equal(receiver.notices.length, 2);
  await next.stop();
  await attempt;
});

test('while nobody takes them no more than ten thousand wait, and a week later nothing is left', async (t) => {
  const { tell, rows } = await start(t);
  await database.query(`INSERT INTO event_delivery (id, event, created_at, next_attempt_at)
    SELECT 'old_' || n, '{}', now(), now() FROM generate_series(1, 9999) AS n`);
  t.same(await tell(), { now: true, queued: true });
  t.same(await tell(), { now: true, queued: false }, 'the audit has it');
  await database.query(`UPDATE event_delivery SET created_at = now() - interval '8 days'`);
  while ((await forgetOldDeliveries(database, 'event_delivery')) > 0);
  t.equal((await rows()).length, 0);
});
