/**
 * Brings the database to the schema of this Keyturn, and refuses one that is ahead of it. The history is the table
 * that Prisma Migrate keeps, so that its commands remain usable (docs/decisions/0001-migrations.md).
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import type { Database } from './database.ts';
import {
  type DatabaseAddress,
  DatabaseError,
  explainDatabaseError,
  NewerSchemaError,
  place,
} from './database-errors.ts';

interface Migration {
  readonly name: string;
  readonly sql: string;
  /** SHA-256 of the file, in hexadecimal, as Prisma Migrate computes it. */
  readonly checksum: string;
}

interface AppliedMigration extends pg.QueryResultRow {
  readonly name: string;
  readonly checksum: string;
  readonly finished: boolean;
}

/** Sends one or (without values) several statements. */
type Run = <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) => Promise<Row[]>;

/**
 * Says whether all migrations of the folder are applied, and changes nothing. Rejects with `NewerSchemaError` where the
 * database has some that the folder lacks, and with a `DatabaseError` where its history is not that of the folder.
 */
export async function checkMigrations(database: Database, folder: string): Promise<'current' | 'behind'> {
  const pending = await readPending(await readMigrations(folder), database.query, database.address);
  return pending.length === 0 ? 'current' : 'behind';
}

/**
 * Applies the migrations of the folder (`<timestamp>_<name>/migration.sql`, in the order of their names) that the
 * database lacks, and answers their names. All in one transaction: either the database is current afterwards or
 * nothing has changed. Of instances that start together one applies and the others wait for it. Rejects like
 * `checkMigrations`, and with a `DatabaseError` that names the migration where one fails: of kind `busy` where a table was
 * not to be had at the moment.
 */
export async function applyMigrations(database: Database, folder: string): Promise<string[]> {
  const ours = await readMigrations(folder);
  if ((await readPending(ours, database.query, database.address)).length === 0) return [];

  const client = await database.pool.connect();
  const run: Run = async (text, values) => {
    // No limit of time: a migration, or the wait for another instance's, may last. Not so a wait for a table.
    const query = { text, ...(values && { values }), query_timeout: 2 ** 31 - 1 };
    return (await client.query(query)).rows;
  };
  let doing = 'preparing to migrate';
  try {
    await run('BEGIN; SET LOCAL statement_timeout = 0');
    await run(takeMigrationLock);
    await run(`SET LOCAL lock_timeout = '${lockPatience}ms'`);
    await run(createHistory);
    const pending = await readPending(ours, run, database.address);
    for (const { name, sql, checksum } of pending) {
      doing = `migration ${name}`;
      await run(sql);
      await run(recordMigration, [checksum, name]);
    }
    await run('COMMIT');
    client.release();
    return pending.map(({ name }) => name);
  } catch (error) {
    // Closing the connection rolls back, whatever state it is in.
    client.release(true);
    if (error instanceof DatabaseError) throw error;
    const { kind, message } = explainDatabaseError(error, database.address);
    throw new DatabaseError(kind, `${doing} failed, and nothing was changed: ${message}`, { cause: error });
  }
}

/**
 * Milliseconds that a statement waits for a table that somebody reads for long (a backup). All that others want of that table
 * meanwhile, of instances that serve, waits behind us.
 */
const lockPatience = 1_000;

/** The number that Prisma Migrate locks too: the two never migrate at once. */
const takeMigrationLock = 'SELECT pg_advisory_xact_lock(72707369)';

/** As Prisma Migrate makes it. */
const createHistory = `
  CREATE TABLE IF NOT EXISTS _prisma_migrations (
    id                  varchar(36) PRIMARY KEY,
    checksum            varchar(64) NOT NULL,
    finished_at         timestamptz,
    migration_name      varchar(255) NOT NULL,
    logs                text,
    rolled_back_at      timestamptz,
    started_at          timestamptz NOT NULL DEFAULT now(),
    applied_steps_count integer NOT NULL DEFAULT 0
  )`;

const recordMigration = `
  INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count)
  VALUES (gen_random_uuid()::text, $1, $2, clock_timestamp(), 1)`;

async function readMigrations(folder: string): Promise<Migration[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return Promise.all(
    names.sort().map(async (name) => {
      const sql = await readFile(join(folder, name, 'migration.sql'), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

async function readPending(ours: Migration[], run: Run, address: DatabaseAddress): Promise<Migration[]> {
  const [history] = await run<{ exists: boolean }>(`SELECT to_regclass('_prisma_migrations') IS NOT NULL AS exists`);
  if (history?.exists !== true) return ours;
  const applied = await run<AppliedMigration>(`
    SELECT migration_name AS name, checksum, finished_at IS NOT NULL AS finished
    FROM _prisma_migrations WHERE rolled_back_at IS NULL ORDER BY migration_name`);

  const known = new Map(ours.map((migration) => [migration.name, migration]));
  const unknown = applied.filter(({ name }) => !known.has(name));
  if (unknown.length > 0)
    throw new NewerSchemaError(
      unknown.map(({ name }) => name),
      address,
    );

  const refuse = (name: string, why: string) =>
    new DatabaseError(
      'configuration',
      `migration ${name} of database "${address.database}" at ${place(address)} ${why}`,
    );
  for (const { name, checksum, finished } of applied) {
    if (!finished) throw refuse(name, 'was left half applied by another tool: mend it, then "prisma migrate resolve"');
    if (checksum !== known.get(name)?.checksum) throw refuse(name, 'was applied in another version than the one here');
  }
  const done = new Set(applied.map(({ name }) => name));
  return ours.filter(({ name }) => !done.has(name));
}
