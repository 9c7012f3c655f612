/** The database that the running server uses, found as it finds it. */
import { userInfo } from 'node:os';
import { fileURLToPath } from 'node:url';
import { AdminError } from '../../src/admin/context.ts';
import type { Config } from '../../src/config.ts';
import { scheduleOf } from '../../src/keys/lifecycle.ts';
import { requirePostgres } from '../../src/store/connect.ts';
import { type Database, openDatabase } from '../../src/store/database.ts';
import { DatabaseError, explainDatabaseError } from '../../src/store/database-errors.ts';
import { EmbeddedPostgresError, findEmbeddedPostgres } from '../../src/store/embedded/index.ts';
import { readIssuerState } from '../../src/store/issuer.ts';
import { checkMigrations } from '../../src/store/migrations.ts';
import { createRevoker } from '../../src/tokens/revocation.ts';
import type { Context } from './context.ts';
import { Failure } from './failure.ts';

/** One at a time is all that a command needs; few need any. */
const passwords: Context['passwords'] = {
  async hash(password) {
    const { createPasswords, hashingLimits } = await import('../../src/crypto/password.ts');
    return createPasswords(hashingLimits(1)).hash(password);
  },
};

const migrations = fileURLToPath(new URL('../../../prisma/migrations', import.meta.url));

/** Connects, makes sure that the schema is ours, runs the work, and closes. Throws a `Failure` that names what is wrong. */
export async function withConnection<T>(config: Config, work: (context: Context) => Promise<T>): Promise<T> {
  const database = await open(config);
  try {
    return await work(await contextOf(config, database));
  } catch (error) {
    if (error instanceof Failure) throw error;
    if (error instanceof AdminError) throw toFailure(error);
    const { kind, message } = explainDatabaseError(error, database.address);
    if (kind === 'other') throw error;
    throw new Failure(1, message);
  } finally {
    await database.close();
  }
}

function toFailure({ refusal, message, hint }: AdminError): Failure {
  return new Failure(refusal === 'not yet' ? 1 : 2, hint === undefined ? message : `${message}: ${hint}`);
}

async function open(config: Config): Promise<Database> {
  try {
    const url = config.databaseUrl ?? (await findEmbeddedPostgres(config.dataDir));
    if (url !== undefined) return openDatabase(url, { maxConnections: 2, actor: `admin ${userInfo().username}` });
  } catch (error) {
    const known = error instanceof EmbeddedPostgresError || error instanceof DatabaseError;
    throw known ? new Failure(1, error.message) : error;
  }
  throw new Failure(1, `no Keyturn is running on ${config.dataDir}: run npm start first, or set DATABASE_URL`);
}

async function contextOf(config: Config, database: Database): Promise<Context> {
  await requirePostgres(database.address, database.patience.connection);
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
  const measuredAt = performance.now();
  const databaseNow = () => Math.floor((row?.now ?? 0) + (performance.now() - measuredAt) / 1000);
  const revoker = createRevoker({ database, now: databaseNow, longestLife: () => schedule.keepPublished });
  const { issuer } = config;
  return { config, issuer, database, now: databaseNow(), schedule, revoker, passwords, appoints: true };
}
