import { randomBytes } from 'node:crypto';
import { link, open, readdir, rename, rm, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** The error code of a failed system call (`ENOENT`), `undefined` for any other error. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** What `reading` resolves to, or `undefined` where the file or folder does not exist. */
export async function ifPresent<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** A name beside `path` that nobody uses. What a kill leaves under such names, `removeHalfMade` removes. */
export function besideName(path: string): string {
  return `${path}.new-${randomBytes(6).toString('hex')}`;
}

/** Removes what earlier starts left half-made in `folder`, or leaves it to the next start where it is still being written. */
export async function removeHalfMade(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (/\.new-[0-9a-f]{12}$/.test(name)) {
      await rm(join(folder, name), { recursive: true, force: true }).catch(() => {});
    }
  }
}

/**
 * Writes `path` (mode 0600) so that it is there whole or not at all, also after a power cut. With `replace: false` a
 * file that is already there stays as it is, whoever wins of several that write at once.
 */
export async function writeWhole(path: string, text: string, options: { replace: boolean }): Promise<void> {
  const beside = besideName(path);
  const file = await open(beside, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  if (options.replace) {
    await rename(beside, path);
  } else {
    await link(beside, path).catch((error) => {
      if (errorCode(error) !== 'EEXIST') throw error;
    });
    await unlink(beside);
  }
  await syncFolder(dirname(path));
}

/** Makes the names in `folder` as durable as the files themselves. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
