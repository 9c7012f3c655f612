import { readFile, realpath, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname } from 'node:path';
import { EmbeddedPostgresError } from './error.ts';

/** Whom Postgres's programs run as; empty: whoever runs the issuer. */
export type Account = { uid: number; gid: number } | Record<string, never>;

/** Whether the issuer runs as root, as which Postgres refuses to run. */
export function isRoot(): boolean {
  return userInfo().uid === 0;
}

/** The account for a new cluster: ourselves, or as root one that owns nothing else. */
export async function accountForNewCluster(): Promise<Account> {
  if (!isRoot()) return {};
  const accounts = await knownAccounts();
  for (const name of ['postgres', '_postgres', 'nobody']) {
    const account = accounts.find((one) => one.name === name);
    if (account !== undefined) return { uid: account.uid, gid: account.gid };
  }
  throw new EmbeddedPostgresError(
    'Postgres does not run as root, and /etc/passwd has neither the account postgres nor nobody; start Keyturn as an ordinary user or set DATABASE_URL',
  );
}

/** The account for a cluster that exists: its owner, which as root we can become and otherwise have to be. */
export async function accountOfCluster(folder: string): Promise<Account> {
  const { uid, gid } = await stat(folder);
  if (!isRoot() && uid !== userInfo().uid) throw await belongsToAnother(folder);
  if (uid === 0) {
    throw new EmbeddedPostgresError(`the database in ${folder} belongs to root, as whom Postgres does not run`);
  }
  return isRoot() ? { uid, gid } : {};
}

/** The error for a file or folder that another account's issuer has made. */
export async function belongsToAnother(path: string): Promise<EmbeddedPostgresError> {
  const { uid } = await stat(path);
  const owner = (await knownAccounts()).find((account) => account.uid === uid)?.name ?? `user ${uid}`;
  return new EmbeddedPostgresError(
    `${path} belongs to ${owner}: run Keyturn as the user that made it (or as root), or choose another DATA_DIR`,
  );
}

/** Whether `account` may enter every folder on the way to `path` and `path` itself (for a file: execute it), by their modes. */
export async function canReach(path: string, account: Account): Promise<boolean> {
  if (account.uid === undefined) return true;
  for (let at = await realpath(path); ; at = dirname(at)) {
    const { mode, uid, gid } = await stat(at);
    const execute = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & execute) === 0) return false;
    if (at === dirname(at)) return true;
  }
}

async function knownAccounts(): Promise<{ name: string; uid: number; gid: number }[]> {
  const lines = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n');
  return lines.map((line) => {
    const [name = '', , uid, gid] = line.split(':');
    return { name, uid: Number(uid), gid: Number(gid) };
  });
}
