/** What a command works with: the same environment and the same database as the server. */
import { readFileSync } from 'node:fs';
import { type Config, readConfig } from '../../src/config.ts';
import type { Schedule } from '../../src/keys/lifecycle.ts';
import type { NumericDate } from '../../src/protocol/time.ts';
import type { Database } from '../../src/store/database.ts';
import type { Revoker } from '../../src/tokens/revocation.ts';
import { mistake } from './failure.ts';

export interface Context {
  readonly config: Config;
  readonly database: Database;
  /** By the database's clock. */
  readonly now: NumericDate;
  readonly schedule: Schedule;
  /** Writes what ends sign-ins, tokens and grants. */
  readonly revoker: Revoker;
}

/** Runs a command on the database, and closes it whatever happens. Throws a `Failure` that names what is wrong. */
export async function withDatabase<T>(work: (context: Context) => Promise<T>): Promise<T> {
  const config = configure();
  // Loading the database client takes longer than all the rest, so only what gets here waits for it.
  const { withConnection } = await import('./connection.ts');
  return withConnection(config, work);
}

function configure(): Config {
  const dotenv = readDotenv();
  const result = readConfig(process.env, { cwd: process.cwd(), ...(dotenv !== undefined && { dotenv }) });
  if (!result.ok) throw mistake(...result.mistakes);
  return result.config;
}

function readDotenv(): string | undefined {
  try {
    return readFileSync('.env', 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw mistake(`.env cannot be read: ${code}`);
  }
}
