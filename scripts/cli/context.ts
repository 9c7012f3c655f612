/** What a command works with: the same environment and the same database as the server. */
import { readFileSync } from 'node:fs';
import type { AdminContext, Page, PageAsked } from '../../src/admin/context.ts';
import { type Config, readConfig } from '../../src/config.ts';
import { mistake } from './failure.ts';

export interface Context extends AdminContext {
  readonly config: Config;
}

/** Runs a command on the database, and closes it whatever happens. Throws a `Failure` that names what is wrong. */
export async function withDatabase<T>(work: (context: Context) => Promise<T>): Promise<T> {
  const config = configure();
  // Loading the database client takes longer than all the rest, so only what gets here waits for it.
  const { withConnection } = await import('./connection.ts');
  return withConnection(config, work);
}

/** How many rows a list reads at a time. */
const pageSize = 500;

/** All items of a list that comes in pages. */
export async function everything<T>(read: (asked: PageAsked) => Promise<Page<T>>): Promise<T[]> {
  const all: T[] = [];
  for (let after: string | null | undefined; after !== null; ) {
    const { items, next } = await read({ after, limit: pageSize });
    all.push(...items);
    after = next;
  }
  return all;
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
