/** The code of an older commit, built with the packages that are installed here. */
import { execFile } from 'node:child_process';
import { mkdir, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openTemporaryFolder } from './process.ts';
import { project } from './project.ts';

const run = promisify(execFile);

/**
 * The last commit that does not know the newest migration: the one before that came. Undefined where there is no history
 * to look into, as in a shallow clone or an unpacked archive.
 */
export async function olderCommit(): Promise<string | undefined> {
  const migrations = await readdir(project('prisma/migrations'), { withFileTypes: true });
  const names = migrations.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const newest = `prisma/migrations/${names.sort().at(-1)}`;
  const args = ['log', '--diff-filter=A', '--format=%P', '-1', '--', newest];
  const parents = await run('git', args, { cwd: project('.') }).then(
    ({ stdout }) => stdout.trim(),
    () => '',
  );
  return parents.split(' ')[0] || undefined;
}

/** Unpacks a commit and builds it. Answers the folder, which goes with the test. */
export async function checkOut(t: { teardown(undo: () => unknown): void }, commit: string): Promise<string> {
  const folder = await openTemporaryFolder(t);
  const archive = join(folder, 'archive.tar');
  await run('git', ['archive', '--output', archive, commit], { cwd: project('.') });
  await run('tar', ['-xf', archive], { cwd: folder });
  // All packages but the one that belongs to the commit itself.
  await mkdir(join(folder, 'node_modules/@keyturn'), { recursive: true });
  await symlink('../../verifier', join(folder, 'node_modules/@keyturn/verifier'));
  for (const name of await readdir(project('node_modules'))) {
    if (name !== '@keyturn') await symlink(project(`node_modules/${name}`), join(folder, 'node_modules', name));
  }
  // Through `env`, as tap adds NODE_OPTIONS to whatever a test spawns.
  await run('/usr/bin/env', ['-u', 'NODE_OPTIONS', 'npm', 'run', 'build'], { cwd: folder });
  return folder;
}
