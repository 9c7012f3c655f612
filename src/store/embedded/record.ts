import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { belongsToAnother } from './account.ts';
import { EmbeddedPostgresError } from './error.ts';
import { errorCode, ifPresent, writeWhole } from './files.ts';

/** What `DATA_DIR/postgres.json` (mode 0600) says. */
export interface ClusterRecord {
  /** Where the cluster lives, absolute (in the file: relative to DATA_DIR, so that DATA_DIR can be moved). */
  folder: string;
  /** The password of the user `keyturn`, safe in a URL. */
  password: string;
  /** Whether the cluster has once been there whole: if it is missing later, it was lost. */
  initialised: boolean;
}

/** Reads the record of `dataDir`; `undefined` where no cluster has been planned yet. */
export async function readRecord(dataDir: string): Promise<ClusterRecord | undefined> {
  const path = recordPath(dataDir);
  const text = await ifPresent(readFile(path, 'utf8')).catch(async (error) => {
    throw errorCode(error) === 'EACCES' ? await belongsToAnother(path).catch(() => error) : error;
  });
  if (text === undefined) return undefined;
  try {
    const { folder, password, initialised } = JSON.parse(text);
    if (typeof folder === 'string' && typeof password === 'string' && typeof initialised === 'boolean') {
      return { folder: resolve(dataDir, folder), password, initialised };
    }
  } catch {
    // said below
  }
  throw new EmbeddedPostgresError(`${path} is damaged; it holds the database's password: restore it from a backup`);
}

/** Plans a cluster in `folder` with a new random password. Of several that plan at once, one wins and all return its plan. */
export async function planCluster(dataDir: string, folder: string): Promise<ClusterRecord> {
  const plan = { folder, password: randomBytes(32).toString('base64url'), initialised: false };
  await writeWhole(recordPath(dataDir), recordText(dataDir, plan), { replace: false });
  return (await readRecord(dataDir)) ?? plan;
}

/** Notes that the cluster is there, so that its absence is never taken for a first start again. */
export async function noteInitialised(dataDir: string, record: ClusterRecord): Promise<void> {
  if (record.initialised) return;
  await writeWhole(recordPath(dataDir), recordText(dataDir, { ...record, initialised: true }), { replace: true });
}

/** Where the record of `dataDir` is kept. */
export function recordPath(dataDir: string): string {
  return join(dataDir, 'postgres.json');
}

function recordText(dataDir: string, record: ClusterRecord): string {
  const inside = relative(dataDir, record.folder);
  const folder = inside.startsWith('..') ? record.folder : inside;
  return `${JSON.stringify({ ...record, folder }, null, 2)}\n`;
}
