import { open, readFile, rename, rm, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Account } from './account.ts';
import { cannotRun, launch, run } from './command.ts';
import { complaintIn, EmbeddedPostgresError } from './error.ts';
import { besideName } from './files.ts';
import { connect, findPostmaster, type Session } from './postmaster.ts';
import type { ClusterRecord } from './record.ts';

// Given at every start and not written into the cluster, so that a newer Keyturn brings its own. What is committed
// stays committed: fsync and synchronous_commit keep their default, on.
const settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '100',
  shared_buffers: '64MB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
  log_min_messages: 'log', // not each failed statement, whose text may hold personal data: the issuer is told of those
};

// Postgres's "fast" and "immediate" shutdown, each with how many milliseconds it gets.
const shutdowns = [
  ['INT', 10_000],
  ['QUIT', 5_000],
] as const;

/** What is needed to run the server of one DATA_DIR. */
export interface Site {
  dataDir: string;
  record: ClusterRecord;
  /** The folder with Postgres's `bin`. */
  native: string;
  account: Account;
}

/** The file in DATA_DIR that the server writes its log to, anew at each start. */
export function logPath(dataDir: string): string {
  return join(dataDir, 'postgres.log');
}

// The port was taken in between, or another start was first, or the last processes of a killed server still end.
const passing = /Address already in use|could not create any|already exists|still in use/;

/**
 * Resolves to a session on the server of `site`: one that runs already (`inherited`), or a new one. A server that
 * starts, recovers or stops is waited for.
 */
export async function bringUp(site: Site): Promise<Session & { inherited: boolean }> {
  let server: Server | undefined;
  let failures = 0;
  const pause = 10;
  for (let waited = 0; waited < 60_000; waited += pause) {
    const reached = await connect(site.record);
    if (typeof reached === 'object') {
      const inherited = server?.pid !== reached.pid;
      await (inherited ? server?.dropLog() : server?.keepLog());
      return { ...reached, inherited };
    }
    if (reached === 'absent' && server?.ended()) {
      const reason = await server.complaint();
      if (!passing.test(reason) || ++failures > 20) {
        await server.keepLog();
        throw new EmbeddedPostgresError(`the database in ${site.record.folder} does not start: ${reason}`);
      }
      await server.dropLog();
      server = undefined;
      await setTimeout(failures * pause);
    }
    if (reached === 'absent') server ??= await startServer(site);
    await setTimeout(pause);
  }
  throw new EmbeddedPostgresError(
    `the database in ${site.record.folder} is not ready after a minute, see ${logPath(site.dataDir)}; start again to go on waiting`,
  );
}

/**
 * Ends the server with process id `pid`: disconnects everyone and shuts down cleanly, or if that takes over 10 s without a
 * last checkpoint. Whatever has been started on the folder meanwhile is let be.
 */
export async function stopServer({ record, native, account }: Site, pid: number): Promise<void> {
  const pause = 10;
  for (const [signal, patience] of shutdowns) {
    for (let waited = 0; waited < patience; waited += pause) {
      const postmaster = await findPostmaster(record.folder);
      if (postmaster?.pid !== pid || !postmaster.alive) return;
      if (waited === 0) await run(join(native, 'bin/pg_ctl'), ['kill', signal, String(pid)], account);
      await setTimeout(pause);
    }
  }
  throw new EmbeddedPostgresError(`the database in ${record.folder} does not stop (process ${pid})`);
}

/** A server process that this start has launched; its log lies beside until it is known that it is the one that runs. */
interface Server {
  pid: number | undefined;
  ended(): boolean;
  complaint(): Promise<string>;
  keepLog(): Promise<void>;
  dropLog(): Promise<void>;
}

async function startServer({ dataDir, record, native, account }: Site): Promise<Server> {
  const port = await freePort();
  const leftover = await findPostmaster(record.folder);
  const logBeside = besideName(logPath(dataDir));
  const log = await open(logBeside, 'ax', 0o600);
  let failure: string | undefined;
  let ended = false;
  let pid: number | undefined;
  try {
    const file = join(native, 'bin/postgres');
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const child = launch(file, ['-D', record.folder, '-p', String(port), ...options], account, {
      stdio: ['ignore', log.fd, log.fd],
      // Postgres takes a leftover postmaster.pid for a running server if its pid has gone to another program. This is
      // its own way to be told better; it still looks whether the old server's shared memory is in use.
      env: leftover?.alive === false ? { PG_GRANDPARENT_PID: String(leftover.pid) } : {},
    });
    child.once('error', (cause) => {
      failure = cannotRun(file, cause.message);
      ended = true;
    });
    child.once('exit', () => {
      ended = true;
    });
    child.unref();
    pid = child.pid;
  } finally {
    await log.close();
  }
  return {
    pid,
    ended: () => ended,
    complaint: async () =>
      failure ?? complaintIn(await readFile(logBeside, 'utf8').catch(() => '')) ?? (await silence(dataDir)),
    keepLog: () => rename(logBeside, logPath(dataDir)).catch(() => {}),
    dropLog: () => rm(logBeside, { force: true }),
  };
}

/** Why a server leaves no word in its log. */
async function silence(dataDir: string): Promise<string> {
  const { bavail } = await statfs(dataDir);
  return bavail === 0 ? 'No space left on device' : 'it does not say why';
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
