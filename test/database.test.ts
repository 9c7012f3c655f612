import { t as file, test } from 'tap';
import { openDatabase } from '../src/store/database.ts';
import { freshDatabase } from './support/database.ts';

const { url } = await freshDatabase(file);

/** The same database with other parameters in its URL. */
function urlWith(parameters: Record<string, string>): string {
  const changed = new URL(url);
  for (const [name, value] of Object.entries(parameters)) changed.searchParams.set(name, value);
  return changed.href;
}

test('every statement is reported, whoever sends it, and none that nobody sent', async (t) => {
  const statements: string[] = [];
  const database = openDatabase(url, { onStatement: (text) => statements.push(text) });
  t.teardown(() => database.close());

  t.same(await database.query('SELECT $1::int AS one', [1]), [{ one: 1 }]);
  await database.prisma.issuer.count();
  await database.pool.query('SELECT 2');
  await database.prisma.$transaction(async (tx) => tx.issuer.count());
  const client = database.newClient();
  await client.connect();
  await client.query('LISTEN something');
  await client.end();

  const count = 'SELECT COUNT(*)';
  t.same(
    statements.map((text) => (text.startsWith(count) ? count : text)),
    ['SELECT $1::int AS one', count, 'SELECT 2', 'BEGIN', count, 'COMMIT', 'LISTEN something'],
  );
});

test('statements are prepared once on a connection, Prisma’s too', async (t) => {
  const database = openDatabase(url, { maxConnections: 1 });
  t.teardown(() => database.close());
  const prepared = () =>
    database.query<{ statement: string }>('SELECT statement FROM pg_prepared_statements ORDER BY prepare_time');

  for (let time = 0; time < 2; time++) {
    await database.prisma.signingKey.findUnique({ where: { kid: String(time) } });
    await database.query('SELECT $1::int AS number', [time]);
  }
  await prepared();
  const statements = (await prepared()).map(({ statement }) => statement);
  t.equal(statements.length, 3);
  t.match(statements[0], /"signing_key"/);
  t.equal(statements[1], 'SELECT $1::int AS number');
});

test('times keep their instant whatever zone the server is set to', async (t) => {
  const database = openDatabase(urlWith({ options: '-c TimeZone=Asia/Kathmandu' }), { maxConnections: 1 });
  t.teardown(() => database.close());
  const at = new Date('2024-02-29T12:34:56.789Z');
  await database.prisma.instance.create({
    data: { id: 'a', version: '1', keyEncryptionKeys: [], startedAt: at, seenAt: at },
  });

  t.same(await database.prisma.instance.findMany({ select: { seenAt: true } }), [{ seenAt: at }]);
  t.same(await database.query('SELECT seen_at, extract(epoch FROM seen_at)::float8 AS epoch FROM instance'), [
    { seen_at: at, epoch: at.getTime() / 1000 },
  ]);
});

test('a connection says whose it is and has its limits of time', async (t) => {
  const database = openDatabase(url);
  t.teardown(() => database.close());
  const [settings] = await database.query(`
    SELECT current_setting('application_name') AS name, current_setting('statement_timeout') AS statement,
           current_setting('idle_in_transaction_session_timeout') AS idle`);
  t.same(settings, { name: 'keyturn', statement: '10s', idle: '30s' });
});

test('the schema that the URL names holds the tables of Prisma and of hand-written SQL alike', async (t) => {
  const admin = openDatabase(url);
  const database = openDatabase(urlWith({ schema: 'Another one' }));
  t.teardown(() => Promise.all([admin.close(), database.close()]));
  await admin.query('CREATE SCHEMA "Another one"');
  await admin.query('CREATE TABLE "Another one".issuer (LIKE public.issuer INCLUDING ALL)');

  await database.prisma.issuer.create({ data: { sealingKey: 'there' } });
  t.same(await database.query('SELECT sealing_key FROM issuer'), [{ sealing_key: 'there' }]);
  t.same(await admin.query('SELECT sealing_key FROM issuer'), []);
});

test('a connection that breaks, idle or in use, ends no process and is replaced', async (t) => {
  const admin = openDatabase(url);
  const database = openDatabase(url, { maxConnections: 1 });
  t.teardown(() => Promise.all([admin.close(), database.close()]));
  const pid = async () => (await database.query<{ pid: number }>('SELECT pg_backend_pid() AS pid'))[0]?.pid;

  const first = await pid();
  const removed = new Promise((resolve) => database.pool.once('remove', resolve));
  await admin.query('SELECT pg_terminate_backend($1)', [first]);
  await removed;
  const second = await pid();
  t.not(second, first);

  const held = await database.pool.connect();
  const ended = new Promise<void>((resolve) => held.on('end', resolve));
  await admin.query('SELECT pg_terminate_backend($1)', [second]);
  await ended;
  held.release();
  t.not(await pid(), second);
});

test('closing waits for the statement under way, and may be done twice', async (t) => {
  const database = openDatabase(url);
  const underWay = database.query('SELECT 1 AS one FROM pg_sleep(0.05)');
  await Promise.all([database.close(), database.close()]);
  t.same(await underWay, [{ one: 1 }]);
  await t.rejects(database.query('SELECT 1'));
});

test('an unreadable URL is a mistake of configuration, and is not repeated', async (t) => {
  for (const bad of ['postgresql://u:secret@host:99999/d', 'postgresql://u:secret@host/d?sslrootcert=/nonesuch.pem']) {
    try {
      openDatabase(bad);
      t.fail(`${bad} was taken`);
    } catch (error) {
      t.match(error, { kind: 'configuration', message: /^the database URL cannot be read: / });
      t.notMatch(String(error), /secret|\n/);
    }
  }
});
