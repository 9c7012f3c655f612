/** A Postgres and its streaming standby, from the programs of the embedded one: to be killed and promoted. */
import { appendFile, chown, cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { accountForNewCluster } from '../../src/store/embedded/account.ts';
import { findBinaries } from '../../src/store/embedded/binaries.ts';
import { launch, run } from '../../src/store/embedded/command.ts';
import { freePort } from './issuer.ts';
import { eventually, openTemporaryFolder } from './process.ts';
import { execute } from './run.ts';

export interface Postgres {
  readonly url: string;
  /** As if its machine had lost power. */
  kill(): Promise<void>;
}

export interface Pair {
  readonly primary: Postgres;
  readonly standby: Postgres;
  /** Waits until the standby has all that the primary has committed. */
  inStep(): Promise<void>;
  /** Makes the standby a primary, as `pg_ctl promote` or `SELECT pg_promote()` do. */
  promote(): Promise<void>;
}

export interface PairOptions {
  /** Where the standby finds the primary's port: a way that the test can cut. */
  through(port: number): Promise<number>;
}

/** What a test, or a part of one, is asked for here. */
interface Owner {
  teardown(undo: () => unknown): void;
}

export async function startPair(t: Owner, { through }: PairOptions): Promise<Pair> {
  const folder = await openTemporaryFolder(t);
  const account = await accountForNewCluster();
  const native = await findBinaries(account, folder, () => {});
  const own = account.uid === undefined ? async () => {} : (path: string) => chown(path, account.uid, account.gid);
  const [one, other] = [join(folder, 'one'), join(folder, 'other')];
  const succeed = async (...[program, ...args]: [string, ...string[]]) => {
    const { code, output } = await run(join(native, 'bin', program), args, account);
    if (code !== 0) throw new Error(`${program}: ${output}`);
  };

  await mkdir(one, { mode: 0o700 });
  await own(one);
  await succeed('initdb', '-D', one, '--username=keyturn', '--auth=trust', '--no-sync', '--no-instructions');

  async function start(data: string, port: number): Promise<Postgres> {
    const args = ['-D', data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='];
    const child = launch(join(native, 'bin/postgres'), args, account, { stdio: 'ignore' });
    const ended = new Promise((resolve) => child.once('close', resolve));
    const kill = async () => {
      // Of the whole group: what the postmaster leaves behind would go on for a moment.
      if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid as number), 'SIGKILL');
      await ended;
    };
    t.teardown(kill);
    const url = `postgresql://keyturn@127.0.0.1:${port}/postgres`;
    await eventually(() => execute(url, 'SELECT 1').catch(() => undefined), 30_000);
    return { url, kill };
  }

  // What pg_basebackup does, which the embedded Postgres lacks: a copy of the files, here of a server that was stopped.
  await cp(one, other, { recursive: true, preserveTimestamps: true });
  await chownAll(other, account);
  const port = await freePort();
  const primary = await start(one, port);
  await writeFile(join(other, 'standby.signal'), '');
  await own(join(other, 'standby.signal'));
  const address = `host=127.0.0.1 port=${await through(port)} user=keyturn`;
  await appendFile(join(other, 'postgresql.auto.conf'), `primary_conninfo = '${address}'\n`);
  const standby = await start(other, await freePort());

  return {
    primary,
    standby,
    async inStep() {
      await eventually(async () => {
        const [row] = await execute(
          primary.url,
          'SELECT 1 FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()',
        );
        return row !== undefined;
      });
    },
    async promote() {
      await execute(standby.url, 'SELECT pg_promote(wait := true)');
    },
  };
}

async function chownAll(path: string, account: { uid?: number; gid?: number }): Promise<void> {
  if (account.uid !== undefined) await run('/bin/chown', ['-R', `${account.uid}:${account.gid}`, path], {});
}
