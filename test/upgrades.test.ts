import { cp, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import tap, { type Test, test } from 'tap';
import { type Database, openDatabase } from '../src/store/database.ts';
import { applyMigrations } from '../src/store/migrations.ts';
import { createBrowser } from './support/browser.ts';
import { emptyDatabase } from './support/database.ts';
import { get, post, startIssuer } from './support/issuer.ts';
import { authorizePath, newVerifier, obtainTokens } from './support/people.ts';
import { project } from './support/project.ts';
import { registerWalkers, walkEverywhere } from './support/walks.ts';

const folder = project('prisma/migrations');
const names = (await readdir(folder, { withFileTypes: true }))
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);
names.sort();

/** From here on an older version may run beside a newer one, so that migrations only add. */
const oldest = names.indexOf('20261122001123_sign_out');

/** What is there after a day of use. */
const before = await startIssuer(tap);
const walkers = await registerWalkers(before);
const { browser, refreshToken, accessToken } = await walkEverywhere(before, walkers);
const jwks = (await get(before, '/.well-known/jwks.json')).json;
await before.app.close();

/** A database as an older version has left it: its schema, and our rows as far as it knows them. */
async function olderDatabase(t: Test, last: string): Promise<{ url: string; database: Database }> {
  const copy = join(t.testdir({}), 'migrations');
  for (const name of names.slice(0, names.indexOf(last) + 1)) {
    await mkdir(join(copy, name), { recursive: true });
    await cp(join(folder, name), join(copy, name), { recursive: true });
  }
  const { url } = await emptyDatabase(t);
  const database = openDatabase(url, { maxConnections: 2 });
  t.teardown(() => database.close());
  await applyMigrations(database, copy);
  return { url, database };
}

interface Table {
  readonly name: string;
  readonly columns: string;
}

async function tablesOf(database: Database): Promise<Table[]> {
  return database.query<Table & Record<string, string>>(
    `SELECT quote_ident(table_name) AS name, string_agg(quote_ident(column_name), ', ') AS columns
       FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '_prisma_migrations' GROUP BY 1`,
  );
}

/** Writes rows as a version does that knows those tables and columns. */
async function writeRows(database: Database, tables: readonly Table[]): Promise<void> {
  for (const { name, columns } of tables) {
    const [row] = await before.database.query<{ rows: string }>(
      `SELECT coalesce(json_agg(t), '[]')::text AS rows FROM (SELECT ${columns} FROM ${name}) AS t`,
    );
    await database.query(
      `INSERT INTO ${name} (${columns}) SELECT ${columns} FROM json_populate_recordset(NULL::${name}, $1)`,
      [row?.rows],
    );
  }
  for (const table of ['change', 'revocation', 'audit_event']) {
    if (!tables.some(({ name }) => name === table)) continue;
    await database.query(`SELECT setval('${table}_id_seq', (SELECT max(id) FROM ${table}))`);
  }
}

for (const last of new Set([names[oldest], names.at(-2)])) {
  if (last === undefined) throw new Error('no migrations');

  test(`what a database of ${last} holds goes on with this version`, async (t) => {
    const { url, database } = await olderDatabase(t, last);
    const tables = await tablesOf(database);
    await writeRows(database, tables);
    const issuer = await startIssuer(t, { beside: { databaseUrl: url, keysDir: before.keysDir } });

    t.same((await get(issuer, '/.well-known/jwks.json')).json, jwks, 'the same keys');
    const entries: [string][] = (await get(issuer, '/revocations')).json.entries;
    const revoked = await before.database.query<{ digest: string }>('SELECT digest FROM revocation ORDER BY id');
    t.same(
      entries.map(([digest]) => digest).sort(),
      revoked.map(({ digest }) => digest).sort(),
      'the same revocations',
    );
    t.ok(entries.length > 1);
    const authorization = walkers.app.basic;
    const { json } = await post(issuer, '/introspect', { token: accessToken }, { authorization });
    t.equal(json.active, true, 'an access token is alive');
    const refreshed = { grant_type: 'refresh_token', refresh_token: refreshToken };
    t.equal((await post(issuer, '/token', refreshed, { authorization })).status, 200, 'a grant goes on');
    const same = createBrowser(issuer);
    for (const [name, value] of browser.cookies) same.cookies.set(name, value);
    const { left } = await same.open(authorizePath(walkers.app.id, newVerifier().challenge, { prompt: 'none' }));
    t.ok(left?.searchParams.has('code'), 'who was signed in still is');
    t.equal((await obtainTokens(issuer, walkers.app)).status, 200, 'who was not can sign in');
  });

  test(`a version of ${last} can write beside this one`, async (t) => {
    const { database } = await olderDatabase(t, last);
    const tables = await tablesOf(database);
    t.ok((await applyMigrations(database, folder)).length > 0);
    await writeRows(database, tables);
    const now = new Map((await tablesOf(database)).map(({ name, columns }) => [name, columns.split(', ')]));
    for (const { name, columns } of tables) {
      for (const column of columns.split(', '))
        t.ok(now.get(name)?.includes(column), `${name}.${column} is still there`);
    }
  });
}

test('a table that a backup reads stops neither the older version nor, for longer than that, this one', async (t) => {
  const { url, database } = await olderDatabase(t, String(names[oldest]));
  await writeRows(database, await tablesOf(database));
  const backup = await database.pool.connect();
  await backup.query('BEGIN; SELECT 1 FROM revocation');
  const starting = startIssuer(t, { beside: { databaseUrl: url, keysDir: before.keysDir } });
  const waiting = `SELECT 1 FROM pg_stat_activity WHERE wait_event = 'relation' AND datname = current_database()`;
  while ((await database.query(waiting)).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const began = performance.now();
  await database.query('SELECT 1 FROM revocation');
  t.ok(performance.now() - began < 2_000, 'who reads it waits a second at the most');
  await backup.query('COMMIT');
  backup.release();
  const { log } = await starting;
  t.match(
    log.map(({ msg }) => msg).join('\n'),
    /^waiting: migration \w+ failed, and nothing was changed: .*takes too long/m,
  );
});

/** Statements that neither wait long, nor hold others up, nor take anything from an older version. */
const literal = `(?:\\d+|'[^']*'|true|false|CURRENT_TIMESTAMP|ARRAY\\[\\]::TEXT\\[\\])`;
const addColumn = new RegExp(
  `ADD COLUMN +"\\w+" [A-Z]+(?:\\(\\d\\))?(?:\\[\\])?(?: (?:NOT NULL )?DEFAULT ${literal})?(?=,|$)`,
);

/** Has so many rows that a look at all of them is no matter of milliseconds. */
const large = ['grant', 'session', 'user', 'client', 'consent', 'audit_event'];

/** What an older version or a busy database would not take well, of a migration's statements. */
function objections(sql: string): string[] {
  const made = new Set([...sql.matchAll(/CREATE TABLE "(\w+)"/g)].map(([, table]) => table));
  const statements = sql
    .replaceAll(/--.*$/gm, '')
    .split(';')
    .map((text) => text.trim().replaceAll(/\s+/g, ' '));
  return statements.filter((text) => {
    if (text === '' || /^CREATE TABLE /.test(text)) return false;
    const table = /^(?:ALTER TABLE|CREATE INDEX "\w+" ON) "(\w+)"/.exec(text)?.[1];
    if (table === undefined) return true;
    if (made.has(table)) return false;
    if (/^CREATE INDEX /.test(text)) return large.includes(table);
    const clauses = text.replace(/^ALTER TABLE "\w+" /, '').split(/, (?=ADD |ALTER |DROP )/);
    return !clauses.every(
      (clause) =>
        addColumn.test(clause) ||
        // A rule less, which who still keeps it does not notice.
        /^DROP CONSTRAINT "(?!\w*_(?:pkey|fkey|key)")\w+"$/.test(clause) ||
        (/^ADD CONSTRAINT "\w+" CHECK \(/.test(clause) && (!large.includes(table) || / NOT VALID$/.test(clause))),
    );
  });
}

test('migrations only add, and hold nobody up', async (t) => {
  for (const name of names.slice(oldest + 1)) {
    t.same(objections(await readFile(join(folder, name, 'migration.sql'), 'utf8')), [], name);
  }
  const refused = [
    'ALTER TABLE "role" DROP COLUMN "permissions"',
    'ALTER TABLE "role" RENAME COLUMN "permissions" TO "rights"',
    'ALTER TABLE "role" ADD COLUMN "title" TEXT NOT NULL',
    'ALTER TABLE "role" ADD COLUMN "title" TEXT NOT NULL DEFAULT gen_random_uuid()::text',
    'ALTER TABLE "role" ADD COLUMN "title" TEXT, DROP COLUMN "permissions"',
    'ALTER TABLE "role" ALTER COLUMN "permissions" SET NOT NULL',
    'ALTER TABLE "grant" ADD CONSTRAINT "c" CHECK ("generation" < 9)',
    'ALTER TABLE "grant" DROP CONSTRAINT "grant_pkey"',
    'CREATE INDEX "i" ON "grant"("client_id")',
    'CREATE UNIQUE INDEX "i" ON "role"("permissions")',
    'UPDATE "grant" SET generation = 1',
    'DROP TABLE "role"',
  ];
  for (const sql of refused) t.equal(objections(`${sql};`).length, 1, sql);
});
