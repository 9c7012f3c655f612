import { randomBytes } from 'node:crypto';
import { currentRun, execute, type TestRun, withDatabase } from './run.ts';

/** What a test, or a part of one, is asked for here. */
interface Owner {
  teardown(undo: () => Promise<void>): void;
}

/** The name of the database that a run's databases are copies of. */
export function templateOf(run: TestRun): string {
  return `${run.prefix}_template`;
}

/** A database of its own for test `t`, a copy of the run's template. It goes, whoever is still connected, when `t` ends. */
export async function freshDatabase(t: Owner): Promise<{ url: string }> {
  const run = await currentRun();
  return create(t, run, templateOf(run));
}

/** As `freshDatabase`, but with nothing in it. */
export async function emptyDatabase(t: Owner): Promise<{ url: string }> {
  return create(t, await currentRun(), 'template0');
}

/** Copies a database, cutting off whoever is connected. What it answers puts the copy in the database's place. */
export async function backUp(t: Owner, url: string): Promise<() => Promise<void>> {
  const run = await currentRun();
  const name = new URL(url).pathname.slice(1);
  await execute(run.url, `ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
  await execute(run.url, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`);
  const copy = await create(t, run, name);
  await execute(run.url, `ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
  return async () => {
    await execute(run.url, `DROP DATABASE ${name} WITH (FORCE)`);
    await execute(run.url, `CREATE DATABASE ${name} TEMPLATE ${new URL(copy.url).pathname.slice(1)}`);
  };
}

async function create(t: Owner, run: TestRun, template: string): Promise<{ url: string }> {
  const name = `${run.prefix}_${randomBytes(6).toString('hex')}`;
  await execute(run.url, `CREATE DATABASE ${name} TEMPLATE ${template}`);
  t.teardown(async () => {
    // Refused while an autovacuum worker is in it, which only a superuser may disturb: after.ts drops the rest.
    await execute(run.url, `DROP DATABASE ${name} WITH (FORCE)`).catch(() => {});
  });
  return { url: withDatabase(run.url, name) };
}
