import { lchown, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Account } from './account.ts';
import { run } from './command.ts';
import { complaintIn, EmbeddedPostgresError } from './error.ts';
import { besideName, ifPresent, syncFolder } from './files.ts';

// Its superuser has no password and no line here: nobody can log in as it, whoever takes the issuer's password.
const accessRules = `# Written by Keyturn.
host  all  keyturn  127.0.0.1/32  scram-sha-256
`;

/**
 * Makes a whole cluster at `folder`: UTF-8, C locale, the user `keyturn` with `password`, who is no superuser, and
 * their database `keyturn`. It is made beside and then renamed, so `folder` holds a whole cluster or none; of several
 * starts that do this at once one wins, which is no error for the others.
 */
export async function makeCluster(folder: string, password: string, native: string, account: Account): Promise<void> {
  const half = besideName(folder);
  try {
    await mkdir(half, { mode: 0o700 });
    if (account.uid !== undefined) await lchown(half, account.uid, account.gid);
    await succeed(
      join(native, 'bin/initdb'),
      ['-D', half, '--username=postgres', '--auth=reject', '--encoding=UTF8', '--locale=C', '--no-instructions'],
      account,
    );
    await succeed(
      join(native, 'bin/postgres'),
      ['--single', '-D', half, '-c', 'exit_on_error=on', '-c', 'log_checkpoints=off', 'postgres'],
      account,
      `CREATE ROLE keyturn LOGIN CREATEDB PASSWORD '${password}'\nCREATE DATABASE keyturn OWNER keyturn\n`,
    );
    await overwrite(join(half, 'pg_hba.conf'), accessRules);
    await rename(half, folder);
    await syncFolder(dirname(folder));
  } catch (error) {
    await rm(half, { recursive: true, force: true }).catch(() => {});
    if ((await ifPresent(stat(folder))) === undefined) throw error;
  }
}

async function succeed(file: string, args: string[], account: Account, input?: string): Promise<void> {
  const { code, output } = await run(file, args, account, input);
  if (code === 0) return;
  throw new EmbeddedPostgresError(
    `the database could not be made: ${complaintIn(output) ?? `${file} ended with ${code}`}`,
  );
}

async function overwrite(path: string, text: string): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}
