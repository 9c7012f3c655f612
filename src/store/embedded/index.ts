/**
 * Owns the Postgres that runs beside an issuer with no DATABASE_URL: its programs, its folder, its process, and that
 * only one issuer uses it. It must not know what the database is for.
 */
import { createHash } from 'node:crypto';
import { chmod, mkdir, realpath, stat } from 'node:fs/promises';
import { platform } from 'node:os';
import { dirname, join } from 'node:path';
import { accountForNewCluster, accountOfCluster, canReach, isRoot } from './account.ts';
import { findBinaries } from './binaries.ts';
import { makeCluster } from './cluster.ts';
import { EmbeddedPostgresError } from './error.ts';
import { errorCode, ifPresent, removeHalfMade } from './files.ts';
import { type Guard, takeGuard } from './guard.ts';
import { connect, type Session } from './postmaster.ts';
import { noteInitialised, planCluster, readRecord, recordPath } from './record.ts';
import { bringUp, logPath, type Site, stopServer } from './server.ts';

export { EmbeddedPostgresError } from './error.ts';

/** A running embedded Postgres that is this process's alone. */
export interface EmbeddedPostgres {
  /** `postgresql://keyturn:<password>@127.0.0.1:<port>/keyturn`. The user owns that database, may create others, and is no superuser. */
  url: string;
  /** Where the cluster really lives: `DATA_DIR/postgres`, or as root perhaps below /var/lib/keyturn. */
  folder: string;
  /** The server's version, such as `18.4`. */
  version: string;
  /** Disconnects everyone, shuts down cleanly and resolves when the server has ended. Call it last. */
  stop(): Promise<void>;
  /** Resolves, with a line that says why, if the server dies by itself. Never after `stop`. */
  exited: Promise<string>;
}

// Where root puts what an unprivileged account must reach and DATA_DIR or the checkout hides from it.
const rootPlace = '/var/lib/keyturn';

/**
 * Starts the embedded Postgres of `dataDir`, made first if it is not there yet; or takes over the one that an issuer
 * left running when it was killed. `log` gets a line for whatever takes time or surprises. The server is not tied to
 * this process: it runs until `stop`, whatever happens here.
 * @throws EmbeddedPostgresError, one line: another issuer runs on `dataDir`, it cannot be written, …
 */
export async function startEmbeddedPostgres(options: {
  dataDir: string;
  log: (line: string) => void;
}): Promise<EmbeddedPostgres> {
  if (platform() === 'win32') {
    throw new EmbeddedPostgresError('there is no embedded Postgres on Windows; set DATABASE_URL to use another one');
  }
  return inOneLine(options.dataDir, async () => {
    await mkdir(options.dataDir, { recursive: true });
    const dataDir = await realpath(options.dataDir);
    const record = (await readRecord(dataDir)) ?? (await planCluster(dataDir, await placeFor(dataDir)));
    const { log } = options;

    const present = (await ifPresent(stat(record.folder))) !== undefined;
    if (!present && record.initialised) {
      throw new EmbeddedPostgresError(
        `the database in ${record.folder} is gone: put it back, or delete ${recordPath(dataDir)} to begin with an empty one`,
      );
    }
    const account = present ? await accountOfCluster(record.folder) : await accountForNewCluster();
    if (!(await canReach(dirname(record.folder), account))) {
      throw new EmbeddedPostgresError(
        `Postgres, which does not run as root, cannot enter ${dirname(record.folder)}: let others pass (chmod o+x) on the way there, or move DATA_DIR`,
      );
    }
    const native = await findBinaries(account, isRoot() ? await rootFolder() : dataDir, log);
    if (!present) {
      log(`making a new database in ${record.folder}`);
      await makeCluster(record.folder, record.password, native, account);
    }

    const site = { dataDir, record, native, account };
    const { client, url, pid, guard, inherited } = await bringUpForUs(site);
    if (inherited) log('taking over the Postgres that an earlier Keyturn left running');
    await noteInitialised(dataDir, record);
    for (const folder of new Set([dataDir, dirname(record.folder)])) await removeHalfMade(folder);

    const { rows } = await client.query('SHOW server_version');
    let stopped: Promise<void> | undefined;
    return {
      url,
      folder: record.folder,
      version: rows[0].server_version,
      stop() {
        guard.release();
        stopped ??= stopServer(site, pid);
        return stopped;
      },
      exited: guard.lost.then((reason) => `${reason}; see ${logPath(dataDir)}`),
    };
  });
}

/**
 * The URL of the embedded Postgres that runs on `dataDir`, for a program beside the issuer; `undefined` where none
 * runs. Changes nothing.
 * @throws EmbeddedPostgresError, one line: it is another account's
 */
export async function findEmbeddedPostgres(dataDir: string): Promise<string | undefined> {
  return inOneLine(dataDir, async () => {
    const folder = await ifPresent(realpath(dataDir));
    const record = folder === undefined ? undefined : await readRecord(folder);
    if (record === undefined || (await ifPresent(stat(record.folder))) === undefined) return undefined;
    await accountOfCluster(record.folder);
    const reached = await connect(record);
    if (typeof reached === 'string') return undefined;
    await reached.client.end();
    return reached.url;
  });
}

/** The running server, ours alone. One that an issuer was just stopping is started again. */
async function bringUpForUs(site: Site): Promise<Session & { inherited: boolean; guard: Guard }> {
  for (let tries = 0; tries < 5; tries++) {
    const session = await bringUp(site);
    const guard = await takeGuard(session.client, site.record);
    if (guard === 'taken') throw new EmbeddedPostgresError(`another Keyturn is running on ${site.dataDir}`);
    if (guard !== 'gone') return { ...session, guard };
  }
  throw new EmbeddedPostgresError(`the database in ${site.record.folder} breaks off its connections`);
}

/** Where a new cluster of `dataDir` goes: in it, unless the account that must run it cannot come there. */
async function placeFor(dataDir: string): Promise<string> {
  if (await canReach(dataDir, await accountForNewCluster())) return join(dataDir, 'postgres');
  const digest = createHash('sha256').update(dataDir).digest('hex').slice(0, 16);
  return join(await rootFolder(digest), 'postgres');
}

/** `/var/lib/keyturn`, or the folder `name` in it, made so that every account may enter it. */
async function rootFolder(name = ''): Promise<string> {
  const folder = join(rootPlace, name);
  for (const path of [rootPlace, folder]) {
    await mkdir(path, { recursive: true });
    await chmod(path, 0o755);
  }
  return folder;
}

/** A failed system call (no space, no permission, a file where a folder should be) as a line for the person who started us. */
async function inOneLine<T>(dataDir: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof EmbeddedPostgresError || errorCode(error) === undefined) throw error;
    throw new EmbeddedPostgresError(`no database can run in ${dataDir}: ${(error as Error).message}`, { cause: error });
  }
}
