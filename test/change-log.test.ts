import { type Test, test } from 'tap';
import { changing } from '../src/store/change.ts';
import { type ChangeWatcher, forgetOldChanges, type Reading, watchChanges } from '../src/store/change-watcher.ts';
import { type Database, openDatabase } from '../src/store/database.ts';
import { backUp, freshDatabase } from './support/database.ts';

async function open(t: Test, from?: string): Promise<Database> {
  const database = openDatabase(from ?? (await freshDatabase(t)).url);
  t.teardown(() => database.close());
  return database;
}

interface Watching {
  watcher: ChangeWatcher;
  readings: Reading[];
  failures: unknown[];
  /** Names of the changes that came, in order. */
  names(): string[];
}

function watch(t: Test, database: Database, { interval = 1000, wallClock = (): number => 0 } = {}): Watching {
  const readings: Reading[] = [];
  const failures: unknown[] = [];
  const watcher = watchChanges(database, {
    onReading: async (reading) => void readings.push(reading),
    onFailure: (error) => failures.push(error),
    wallClock,
    interval,
  });
  t.teardown(() => watcher.stop());
  const names = () => readings.flatMap(({ changes }) => changes.map(({ name }) => name));
  return { watcher, readings, failures, names };
}

function log(database: Database, name: string): Promise<void> {
  return changing(database, async (_tx, changed) => changed('client', name));
}

test('the first reading reads everything, the next only what has changed', async (t) => {
  const database = await open(t);
  await log(database, 'before');
  const { watcher, readings, names } = watch(t, database);
  await watcher.read();
  t.match(readings, [{ everything: true, changes: [] }]);
  await log(database, 'one');
  await log(database, 'two');
  await watcher.read();
  await watcher.read();
  t.same(names(), ['one', 'two']);
  t.notOk(readings[1]?.everything);
});

test('no reader skips a change, however transactions interleave', async (t) => {
  const database = await open(t);
  const { watcher, names } = watch(t, database);
  await watcher.read();
  const written: string[] = [];
  // Each writer does something before it logs, so that ids would be given out and committed in different orders
  // if the lock did not hold them together.
  const writers = Array.from({ length: 40 }, async (_, at) => {
    const name = `change_${at}`;
    await changing(database, async (tx, changed) => {
      changed('client', name);
      await tx.$executeRaw`SELECT pg_sleep(${(at % 5) / 500}::float8)`;
    });
    written.push(name);
  });
  let writing = true;
  const reader = (async () => {
    while (writing) await watcher.read();
  })();
  await Promise.all(writers);
  writing = false;
  await reader;
  await watcher.read();
  t.same(names().sort(), written.sort());
});

test('a long log is read to its end', async (t) => {
  const database = await open(t);
  const { watcher, readings, names } = watch(t, database);
  await watcher.read();
  const many = Array.from({ length: 2500 }, (_, at) => ({ kind: 'client', name: String(at) }));
  await database.prisma.change.createMany({ data: many });
  await watcher.read();
  t.equal(names().length, 2500);
  const complete = readings.map((reading) => reading.complete);
  t.same(complete, [true, false, false, true], 'and only its end is all there is');
});

test('what a reading brought comes again if it could not be taken in', async (t) => {
  const database = await open(t);
  const seen: string[] = [];
  let fail = false;
  const watcher = watchChanges(database, {
    onReading: async ({ changes }) => {
      if (fail) throw new Error('not now');
      seen.push(...changes.map(({ name }) => name));
    },
    onFailure: () => undefined,
    wallClock: () => 0,
    interval: 1000,
  });
  t.teardown(() => watcher.stop());
  await watcher.read();
  await log(database, 'one');
  fail = true;
  await t.rejects(watcher.read(), { message: 'not now' });
  fail = false;
  await watcher.read();
  t.same(seen, ['one']);
});

test('after a long sleep, or on a database that was restored, everything is read anew', async (t) => {
  const database = await open(t);
  let now = 0;
  const { watcher, readings } = watch(t, database, { wallClock: () => now });
  await log(database, 'one');
  await watcher.read();
  now += 13 * 3600 * 1000;
  await watcher.read();
  t.equal(readings.at(-1)?.everything, true, 'the log may have lost what happened meanwhile');
  await database.prisma.$executeRaw`DELETE FROM change`;
  await database.prisma.$executeRaw`ALTER SEQUENCE change_id_seq RESTART`;
  await watcher.read();
  t.equal(readings.at(-1)?.everything, true, 'the log has begun anew');
  await log(database, 'two');
  await watcher.read();
  t.match(readings.at(-1), { everything: false, changes: [{ name: 'two' }] });
});

test('a database that was put back is read anew, also where its log has run past what was known', async (t) => {
  const { url } = await freshDatabase(t);
  const database = await open(t, url);
  const { watcher, readings } = watch(t, database);
  await log(database, 'one');
  await watcher.read();
  const putBack = await backUp(t, url);
  await log(database, 'lost');
  await watcher.read();
  const before = readings.at(-1);
  t.match(before, { everything: false, changes: [{ name: 'lost' }] });
  await putBack();
  for (const name of ['other', 'and', 'more']) await log(database, name);
  await watcher.read();
  t.match(readings.at(-1), { everything: true, changes: [], complete: true });
  t.not(readings.at(-1)?.incarnation, before?.incarnation);
  await log(database, 'new');
  await watcher.read();
  t.match(readings.at(-1), { everything: false, changes: [{ name: 'new' }] });
});

test('the incarnation is one for all who read, and another once the table was filled anew', async (t) => {
  const database = await open(t);
  const [one, other] = [watch(t, database), watch(t, database)];
  const incarnation = async ({ watcher, readings }: Watching) => {
    await watcher.read();
    return readings.at(-1)?.incarnation ?? '';
  };
  const first = await incarnation(one);
  t.match(first, /^[0-9a-f]{16}$/);
  t.equal(await incarnation(other), first);
  await log(database, 'one');
  t.equal(await incarnation(one), first, 'nothing that happens within it makes it another');
  await database.query('TRUNCATE revocation');
  const truncated = await incarnation(one);
  t.not(truncated, first);
  await database.query('CREATE TABLE copy (LIKE revocation INCLUDING ALL)');
  await database.query('DROP TABLE revocation CASCADE');
  await database.query('ALTER TABLE copy RENAME TO revocation');
  t.not(await incarnation(one), truncated);
  t.ok(one.readings.at(-1)?.everything);
  const others = await open(t);
  t.not(await incarnation(watch(t, others)), await incarnation(one), 'no two databases have the same');
});

test('a notification brings a change long before the next poll', async (t) => {
  const database = await open(t);
  const listening = async () => {
    const rows = await database.query(
      `SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND datname = current_database()`,
    );
    return rows.length > 0;
  };
  let arrived: () => void = () => undefined;
  const arrival = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const watcher = watchChanges(database, {
    onReading: async ({ changes }) => {
      if (changes.length > 0) arrived();
    },
    onFailure: () => undefined,
    wallClock: Date.now,
    interval: 3_600_000, // so that only the notification can bring it
  });
  t.teardown(() => watcher.stop());
  watcher.start();
  while (!(await listening()));
  await log(database, 'one');
  await arrival;
  t.pass('it came');
});

test('a listener that was cut off listens again', async (t) => {
  const database = await open(t);
  const { watcher } = watch(t, database, { interval: 20, wallClock: Date.now });
  const listeners = () =>
    database.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND datname = current_database()`,
    );
  watcher.start();
  let first: { pid: number }[] = [];
  while (first.length === 0) first = await listeners();
  await database.query('SELECT pg_terminate_backend($1)', [first[0]?.pid]);
  let second: { pid: number }[] = [];
  while (second.length === 0 || second[0]?.pid === first[0]?.pid) second = await listeners();
  t.not(second[0]?.pid, first[0]?.pid);
});

test('log rows go after a day, and not before', async (t) => {
  const database = await open(t);
  await log(database, 'old');
  await database.query(`UPDATE change SET at = now() - interval '25 hours'`);
  await log(database, 'young');
  await forgetOldChanges(database);
  t.match(await database.prisma.change.findMany(), [{ name: 'young' }]);
});
