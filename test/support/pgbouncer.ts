/** PgBouncer in front of the tests' Postgres. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './issuer.ts';
import { eventually, openTemporaryFolder } from './process.ts';
import { type Program, startProgram, versionOf } from './programs.ts';
import { execute } from './run.ts';

export interface Pooler {
  /** The database through it. */
  readonly url: string;
  readonly program: Program;
}

export interface PoolerOptions {
  readonly mode: 'session' | 'transaction';
  /** Connections to Postgres, for all who ask together. */
  readonly size: number;
  /** Keep statements that clients prepare, so that they find them on whatever connection; where it can by default. */
  readonly prepares?: boolean;
}

/** Whether it can keep the statements that clients prepare, as it has to in transaction mode: from 1.21 on. */
export function preparesInTransactions(): boolean {
  const [, major = 0, minor = 0] = /PgBouncer (\d+)\.(\d+)/.exec(versionOf('pgbouncer')) ?? [];
  return Number(major) > 1 || Number(minor) >= 21;
}

/** Starts one that ends with the test. */
export async function startPooler(
  t: { teardown(undo: () => unknown): void },
  databaseUrl: string,
  { mode, size, prepares = true }: PoolerOptions,
): Promise<Pooler> {
  const { hostname, port: databasePort, username, password, pathname } = new URL(databaseUrl);
  const folder = await openTemporaryFolder(t);
  const port = await freePort();
  const account = `user=${username}${password && ` password=${decodeURIComponent(password)}`}`;
  const settings = [
    '[databases]',
    `* = host=${hostname} port=${databasePort || 5432} ${account}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = any',
    `pool_mode = ${mode}`,
    `default_pool_size = ${size}`,
    ...(preparesInTransactions() ? [`max_prepared_statements = ${prepares ? 200 : 0}`] : []),
  ];
  const file = join(folder, 'pgbouncer.ini');
  await writeFile(file, `${settings.join('\n')}\n`);
  await chmod(file, 0o644);
  const program = startProgram(t, 'pgbouncer', [file], { asNobody: true });
  const url = `postgresql://keyturn@127.0.0.1:${port}${pathname}`;
  await eventually(() => execute(url, 'SELECT 1').catch(() => undefined));
  return { url, program };
}
