/**
 * What one run of the tests shares. tap runs before.ts, every test file and after.ts as processes of their own; all are
 * children of one runner, so a file named after its process id carries the answers across, and runs side by side do
 * not meet.
 */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { findEmbeddedPostgres, startEmbeddedPostgres } from '../../src/store/embedded/index.ts';

/** The database server of a run. */
export interface TestRun {
  /** URL of a database on it, from which others can be made. */
  url: string;
  /** What the names of this run's databases begin with. */
  prefix: string;
  /** The folders of an embedded server made for this run; none with DATABASE_URL. */
  folders: string[];
}

const recordFolder = join(import.meta.dirname, '..');
const recordName = /^\.postgres-(\d+)\.json$/;

/** Tells the other processes of this run about its server. */
export async function writeRun(run: TestRun): Promise<void> {
  await writeFile(pathOf(process.ppid), JSON.stringify(run), { mode: 0o600 });
}

/** The run this process belongs to. */
export async function currentRun(): Promise<TestRun> {
  try {
    return JSON.parse(await readFile(pathOf(process.ppid), 'utf8'));
  } catch (cause) {
    throw new Error('no server for the tests: run them through tap (npx tap dist/test/x.test.js)', { cause });
  }
}

/** Removes all that this run made, and all of runs whose runner was killed before it could. */
export async function removeRuns(): Promise<void> {
  for (const name of await readdir(recordFolder)) {
    const runner = Number(recordName.exec(name)?.[1]);
    if (!(runner > 0) || (runner !== process.ppid && isAlive(runner))) continue;
    await removeRun(pathOf(runner)).catch((error) => {
      // An abandoned run whose server cannot be reached, or that another runner removes just now, is not our failure.
      if (runner === process.ppid) throw error;
    });
  }
}

/** Runs one statement on the server at `url`. */
export async function execute(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new Client(url);
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}

/** `url` with another database's name. */
export function withDatabase(url: string, name: string): string {
  const other = new URL(url);
  other.pathname = `/${name}`;
  return other.href;
}

async function removeRun(path: string): Promise<void> {
  const { url, prefix, folders }: TestRun = JSON.parse(await readFile(path, 'utf8'));
  const [dataDir] = folders;
  if (dataDir === undefined) {
    const leftovers = await execute(url, `SELECT datname FROM pg_database WHERE datname LIKE '${prefix}\\_%'`);
    for (const { datname } of leftovers) await execute(url, `DROP DATABASE IF EXISTS ${datname} WITH (FORCE)`);
  } else if ((await findEmbeddedPostgres(dataDir)) !== undefined) {
    const { stop } = await startEmbeddedPostgres({ dataDir, log: () => {} });
    await stop();
  }
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
  await rm(path, { force: true });
}

function pathOf(runner: number): string {
  return join(recordFolder, `.postgres-${runner}.json`);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // alive, and another user's
  }
}
