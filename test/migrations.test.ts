import { createHash, randomBytes } from 'node:crypto';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { diffSchemas } from '../scripts/schema-engine.ts';
import { type Database, openDatabase } from '../src/store/database.ts';
import { NewerSchemaError } from '../src/store/database-errors.ts';
import { applyMigrations, checkMigrations } from '../src/store/migrations.ts';
import { currentRun, execute, withDatabase } from './support/run.ts';

const folder = 'prisma/migrations';
const names = (await readdir(folder, { withFileTypes: true }))
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);
const [init = ''] = names;

/** An empty database, which goes when the test ends. */
async function open(t: Test, onStatement?: (text: string) => void): Promise<{ database: Database; url: string }> {
  const run = await currentRun();
  const name = `${run.prefix}_${randomBytes(6).toString('hex')}`;
  await execute(run.url, `CREATE DATABASE ${name}`);
  t.teardown(() => execute(run.url, `DROP DATABASE ${name} WITH (FORCE)`));
  const url = withDatabase(run.url, name);
  return { database: openAgain(t, url, onStatement), url };
}

function openAgain(t: Test, url: string, onStatement?: (text: string) => void): Database {
  const database = openDatabase(url, { maxConnections: 2, ...(onStatement && { onStatement }) });
  t.teardown(() => database.close());
  return database;
}

/** A copy of our migrations with others beside them. */
async function folderWith(t: Test, others: Record<string, string>): Promise<string> {
  const copy = join(t.testdir({}), 'migrations');
  await cp(folder, copy, { recursive: true });
  for (const [name, sql] of Object.entries(others)) {
    await mkdir(join(copy, name), { recursive: true });
    await writeFile(join(copy, name, 'migration.sql'), sql);
  }
  return copy;
}

/** What Prisma models of a database's tables, but for the history. */
const describeTables = `
  SELECT relname, attname AS part,
         format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL ' ELSE ' ' END
           || coalesce(pg_get_expr(adbin, adrelid), '') AS definition
  FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
       LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
  WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
    AND relname <> '_prisma_migrations'
  UNION ALL
  SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f', 'x')
    AND conrelid::regclass::text <> '_prisma_migrations'
  UNION ALL
  SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> '_prisma_migrations'
  ORDER BY 1, 2, 3`;

const publicTables = `SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`;

test('migrations and schema agree', async (t) => {
  const migrated = await open(t);
  const made = await open(t);
  const schema = await readFile('prisma/schema.prisma', 'utf8');
  t.same(await applyMigrations(migrated.database, folder), names);
  await made.database.pool.query(await diffSchemas(made.url, undefined, schema));

  const tables = await migrated.database.query(describeTables);
  t.ok(tables.length > 30);
  t.same(tables, await made.database.query(describeTables));
  const begunFrom = await readFile(join(folder, 'migrated.prisma'), 'utf8');
  t.equal(await diffSchemas(made.url, begunFrom, schema), '', 'the next migration begins where these end');
});

test('applying again finds nothing to do, in two statements', async (t) => {
  const statements: string[] = [];
  const { database } = await open(t, (text) => statements.push(text));
  t.equal(await checkMigrations(database, folder), 'behind');
  await applyMigrations(database, folder);
  statements.length = 0;
  t.same(await applyMigrations(database, folder), []);
  t.equal(statements.length, 2);
  t.equal(await checkMigrations(database, folder), 'current');
});

test('of ten instances that start at once each succeeds and one migrates', async (t) => {
  const { url } = await open(t);
  const instances = Array.from({ length: 10 }, () => openAgain(t, url));
  const applied = await Promise.all(instances.map((database) => applyMigrations(database, folder)));
  t.same(applied.flat(), names);
  t.same(
    await instances[0]?.query('SELECT migration_name FROM _prisma_migrations ORDER BY 1'),
    names.map((name) => ({ migration_name: name })),
  );
});

test('the history is what Prisma Migrate would have written', async (t) => {
  const { database } = await open(t);
  await applyMigrations(database, folder);
  const checksum = createHash('sha256')
    .update(await readFile(join(folder, init, 'migration.sql')))
    .digest('hex');
  t.match(await database.query('SELECT * FROM _prisma_migrations ORDER BY migration_name LIMIT 1'), [
    {
      id: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
      checksum,
      migration_name: init,
      started_at: Date,
      finished_at: Date,
      rolled_back_at: null,
      logs: null,
      applied_steps_count: 1,
    },
  ]);
});

test('a database newer than this Keyturn is refused, and not touched', async (t) => {
  const { database } = await open(t);
  const newer = await folderWith(t, { '29990101000000_later': 'CREATE TABLE later ()', '29990102000000_last': '' });
  await applyMigrations(database, newer);
  for (const refused of [checkMigrations, applyMigrations]) {
    const error = await refused(database, folder).catch((thrown: unknown) => thrown);
    t.ok(error instanceof NewerSchemaError);
    t.match(error, {
      kind: 'configuration',
      message: /newer than this Keyturn.*29990101000000_later and 1 more: upgrade/,
    });
  }
});

test('a migration that fails is named and leaves nothing behind, nor do those before it', async (t) => {
  const { database } = await open(t);
  const broken = await folderWith(t, {
    '29990101000000_broken': `CREATE TABLE half (note text DEFAULT ';'); CREATE TABLE other (id nonsense)`,
  });
  await t.rejects(applyMigrations(database, broken), {
    kind: 'other',
    message: 'migration 29990101000000_broken failed, and nothing was changed: type "nonsense" does not exist',
  });
  t.same(await database.query(publicTables), []);
  t.same(await applyMigrations(database, folder), names, 'the lock is free again');
});

test('a history that is not ours is refused', async (t) => {
  const { database } = await open(t);
  await applyMigrations(database, folder);
  const edited = await folderWith(t, { [init]: 'SELECT 1' });
  await t.rejects(applyMigrations(database, edited), { kind: 'configuration', message: /_init .* in another version/ });
  await database.query('UPDATE _prisma_migrations SET finished_at = NULL');
  await t.rejects(checkMigrations(database, folder), { kind: 'configuration', message: /_init .* half applied/ });
  await database.query('UPDATE _prisma_migrations SET rolled_back_at = now()');
  t.equal(await checkMigrations(database, folder), 'behind', 'what was rolled back is to be applied again');
});

test('who may not make tables is told so', async (t) => {
  const { database } = await open(t);
  await database.query('REVOKE CREATE ON SCHEMA public FROM PUBLIC, pg_database_owner');
  const [{ superuser } = {}] = await database.query<{ superuser: string }>(
    `SELECT current_setting('is_superuser') AS superuser`,
  );
  if (superuser === 'on') return t.comment('a superuser may do anything');
  await t.rejects(applyMigrations(database, folder), {
    kind: 'configuration',
    message: /lacks a right in database .*: permission denied for schema public$/,
  });
});

test('Postgres itself refuses rows that break what the schema promises', async (t) => {
  const { database } = await open(t);
  await applyMigrations(database, folder);
  const { prisma } = database;
  const now = new Date(0);
  const sealed = 'eyJhbGciOiJkaXIifQ..iv.ciphertext.tag';
  const key = {
    kid: 'k',
    alg: 'ES256',
    publicJwk: { kty: 'EC' },
    sealedPrivateJwk: sealed,
    createdAt: now,
    signsFrom: now,
  };
  const resource = { identifier: 'https://orders.example', scopes: {}, alg: 'ES256' };
  const client = {
    ...{ id: 'c', name: '', authMethod: 'client_secret_basic', secretDigests: ['a'], scopes: [] },
    ...{ grantTypes: ['client_credentials'], resources: ['https://orders.example'] },
  };

  const broken: (() => Promise<unknown>)[] = [
    () => prisma.issuer.create({ data: { id: 2 } }),
    () => prisma.signingKey.create({ data: { ...key, alg: '' } }),
    () => prisma.signingKey.create({ data: { ...key, publicJwk: { kty: 'EC', d: 'private' } } }),
    () => prisma.signingKey.create({ data: { ...key, publicJwk: [] } }),
    () => prisma.signingKey.create({ data: { ...key, sealedPrivateJwk: '{"kty":"EC","d":"private"}' } }),
    () => prisma.resource.create({ data: { ...resource, identifier: 'https://orders.example/#fragment' } }),
    () => prisma.resource.create({ data: { ...resource, identifier: 'orders' } }),
    () => prisma.resource.create({ data: { ...resource, scopes: ['orders:read'] } }),
    () => prisma.resource.create({ data: { ...resource, accessTtl: 0 } }),
    () => prisma.client.create({ data: { ...client, resources: [] } }),
    () => prisma.client.create({ data: { ...client, grantEpoch: 1 } }),
    () => prisma.client.create({ data: { ...client, secretDigests: ['a', 'b'] } }),
    () => prisma.client.create({ data: { ...client, secretDigests: [...'abcdef'], previousSecretExpiresAt: now } }),
  ];
  for (const insert of broken) await t.rejects(insert(), /violates check constraint/, String(insert));

  await prisma.issuer.create({ data: {} });
  await prisma.signingKey.create({ data: key });
  await prisma.signingKey.create({ data: { ...key, kid: 'erased', sealedPrivateJwk: null } });
  await prisma.resource.create({ data: resource });
  await prisma.client.create({
    data: { ...client, secretDigests: ['a', 'b'], previousSecretExpiresAt: now, epoch: 1, grantEpoch: 1 },
  });
});
