import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { emptyDatabase, freshDatabase } from './support/database.ts';
import { startProxy } from './support/database-proxy.ts';
import { keyturn, openTemporaryFolder } from './support/process.ts';
import { execute } from './support/run.ts';

/** A command is refused in this one line. */
async function refused(t: Test, env: Record<string, string>, line: string | RegExp): Promise<void> {
  const { code, stdout, stderr } = await keyturn(env, 'resource', 'add', 'https://orders.example');
  t.same({ code, stdout }, { code: 1, stdout: '' });
  t.match(stderr, /^keyturn: [^\n]+\n$/);
  t.match(stderr, line);
  const { password } = new URL(env.DATABASE_URL ?? 'postgresql:');
  if (password !== '') t.notMatch(stderr, password);
}

async function tables(url: string): Promise<unknown> {
  return execute(url, `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1`);
}

test('a database of a newer Keyturn is not touched', async (t) => {
  const { url } = await freshDatabase(t);
  await execute(
    url,
    `INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at)
     VALUES ('later', '', '29990101000000_from_the_future', now())`,
  );
  await refused(
    t,
    { DATABASE_URL: url },
    /is newer than this Keyturn, .* 29990101000000_from_the_future: upgrade Keyturn$/m,
  );
  t.same(await execute(url, 'SELECT * FROM resource'), []);
});

test('a database that no server has prepared is not touched either', async (t) => {
  const { url } = await emptyDatabase(t);
  const line = 'this version of Keyturn has not run on this database yet: start the server first';
  await refused(t, { DATABASE_URL: url }, line);
  t.same(await tables(url), []);
});

test('a database that cannot be reached is one line', async (t) => {
  const proxy = await startProxy(t, (await freshDatabase(t)).url);
  proxy.cut();
  await refused(
    t,
    { DATABASE_URL: proxy.url },
    /^keyturn: Postgres at 127\.0\.0\.1:\d+ cannot be reached \(ECONNREFUSED\)$/m,
  );
  const certificate = `${proxy.url}?sslmode=verify-full&sslrootcert=/nonexistent/ca.pem`;
  await refused(t, { DATABASE_URL: certificate }, /the database URL cannot be read: .*\/nonexistent\/ca\.pem/);
});

test('without DATABASE_URL and with no server running it says so, and makes nothing', async (t) => {
  const folder = await openTemporaryFolder(t);
  const dataDir = join(folder, 'data');
  await refused(
    t,
    { DATA_DIR: dataDir },
    `keyturn: no Keyturn is running on ${dataDir}: run npm start first, or set DATABASE_URL\n`,
  );
  t.same(await readdir(folder), []);
});
