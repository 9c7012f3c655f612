/** What a command works with: the same environment and the same database as the server. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Config, readConfig } from '../../src/config.ts';
import { type Schedule, scheduleOf } from '../../src/keys/lifecycle.ts';
import type { NumericDate } from '../../src/protocol/time.ts';
import { requirePostgres } from '../../src/store/connect.ts';
import { connectTimeout, type Database, openDatabase } from '../../src/store/database.ts';
import { explainDatabaseError } from '../../src/store/database-errors.ts';
import { EmbeddedPostgresError, findEmbeddedPostgres } from '../../src/store/embedded/index.ts';
import { readIssuerState } from '../../src/store/issuer.ts';
import { checkMigrations } from '../../src/store/migrations.ts';
import { Failure, mistake } from './failure.ts';

export interface Context {
  readonly config: Config;
  readonly database: Database;
  /** By the database's clock. */
  readonly now: NumericDate;
  readonly schedule: Schedule;
}

const migrations = fileURLToPath(new URL('../../../prisma/migrations', import.meta.url));

/** Runs a command on the database, and closes it whatever happens. Throws a `Failure` that names what is wrong. */
export async function withDatabase<T>(work: (context: Context) => Promise<T>): Promise<T> {
  const config = configure();
  const database = openDatabase(await databaseUrl(config), { maxConnections: 2 });
  try {
    await requirePostgres(database.address, connectTimeout);
    const [row] = await database.query<{ now: number }>('SELECT extract(epoch FROM clock_timestamp())::float8 AS now');
    if ((await checkMigrations(database, migrations)) === 'behind') {
      throw new Failure(1, 'this version of Keyturn has not run on this database yet: start the server first');
    }
    const { longestTokenTtl } = await readIssuerState(database);
    const schedule = scheduleOf({
      signFor: config.keySignFor,
      jwksMaxAge: config.jwksMaxAge,
      longestTokenTtl: Math.max(longestTokenTtl, config.accessTokenTtl),
      longestGrant: config.refreshTokenTtl,
    });
    return await work({ config, database, now: Math.floor(row?.now ?? 0), schedule });
  } catch (error) {
    if (error instanceof Failure) throw error;
    const { kind, message } = explainDatabaseError(error, database.address);
    if (kind === 'other') throw error;
    throw new Failure(1, message);
  } finally {
    await database.close();
  }
}

function configure(): Config {
  const result = readConfig(process.env, { cwd: process.cwd(), ...dotenv() });
  if (!result.ok) throw mistake(result.mistakes.join('\nkeyturn: '));
  return result.config;
}

function dotenv(): { dotenv?: string } {
  try {
    return { dotenv: readFileSync('.env', 'utf8') };
  } catch {
    return {};
  }
}

async function databaseUrl(config: Config): Promise<string> {
  if (config.databaseUrl !== undefined) return config.databaseUrl;
  try {
    const url = await findEmbeddedPostgres(config.dataDir);
    if (url !== undefined) return url;
  } catch (error) {
    if (error instanceof EmbeddedPostgresError) throw new Failure(1, error.message);
    throw error;
  }
  throw new Failure(1, `no Keyturn is running on ${config.dataDir}: run npm start first, or set DATABASE_URL`);
}
