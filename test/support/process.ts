/** The built server and the command line, as processes of their own that know nothing of this checkout's settings. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from './issuer.ts';
import { project } from './project.ts';

type Environment = Record<string, string>;

/** What a test, or a part of one, is asked for here. */
interface Owner {
  teardown(undo: () => unknown): void;
}

/** How a process ended. */
export interface Ended {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A server that was started, and perhaps has ended. */
export interface ServerProcess {
  /** What clients call it, and where it listens. */
  readonly issuer: string;
  /** All of its environment. */
  readonly env: Environment;
  /** Where it was started. */
  readonly folder: string;
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** The lines that it has logged. */
  log(): Record<string, unknown>[];
  /** Resolves at the start message, or when the process has ended. */
  readonly started: Promise<void>;
  readonly ended: Promise<Ended>;
  kill(signal: NodeJS.Signals): void;
  /** Runs `keyturn` in its folder and environment. */
  keyturn(...args: string[]): Promise<Ended>;
  /** The same, with something on standard input. */
  keyturnWithInput(input: string, ...args: string[]): Promise<Ended>;
}

export interface ServerOptions {
  /** Where to start it: a new folder if not given. */
  folder?: string;
  /** Run as another account, which only root can ask for. */
  uid?: number;
  /** Where the code is: this checkout if not given. */
  checkout?: string;
}

/** Starts a server and waits until it has started or ended. It ends with the test. */
export async function spawnServer(t: Owner, env: Environment, options: ServerOptions = {}): Promise<ServerProcess> {
  const server = await launchServer(t, env, options);
  await server.started;
  return server;
}

/** As `spawnServer`, but does not wait. */
export async function launchServer(
  t: Owner,
  settings: Environment,
  { folder: given, checkout, ...account }: ServerOptions = {},
): Promise<ServerProcess> {
  const folder = given ?? (await openTemporaryFolder(t));
  const port = settings.PORT ?? String(await freePort());
  const env = { HOST: '127.0.0.1', PORT: port, ...minimal, ...settings };
  const child = spawnNode(['dist/src/main.js'], { ...account, cwd: folder, env }, checkout);
  const { ended, output } = collect(child);
  const started = new Promise<void>((resolve) => {
    child.stdout?.on('data', () => output.stdout.includes('Next, ') && resolve());
    void ended.then(() => resolve());
  });
  t.teardown(async () => {
    child.kill('SIGTERM');
    const stubborn = setTimeout(() => child.kill('SIGKILL'), 20_000);
    await ended;
    clearTimeout(stubborn);
  });
  return {
    issuer: settings.ISSUER ?? `http://localhost:${port}`,
    env,
    folder,
    pid: child.pid as number,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    log: () => logLines(output.stderr),
    started,
    ended,
    kill: (signal) => child.kill(signal),
    keyturn: (...args) => runKeyturn(args, { env, cwd: folder }, checkout),
    keyturnWithInput: (input, ...args) => runKeyturn(args, { env, cwd: folder, input }, checkout),
  };
}

/** Runs `keyturn` with these settings and no others. */
export function keyturn(env: Environment, ...args: string[]): Promise<Ended> {
  return runKeyturn(args, { env });
}

/** As `keyturn`, with something on standard input. */
export function keyturnWithInput(input: string, env: Environment, ...args: string[]): Promise<Ended> {
  return runKeyturn(args, { env, input });
}

/** The same for what goes on until it is interrupted: after so many milliseconds, if it has not ended. */
export function keyturnInterrupted(after: number, input: string, env: Environment, ...args: string[]): Promise<Ended> {
  return runKeyturn(args, { env, input, interruptAfter: after });
}

async function runKeyturn(
  args: string[],
  {
    env,
    input = '',
    cwd = '/',
    interruptAfter,
  }: { env: Environment; input?: string; cwd?: string; interruptAfter?: number },
  checkout?: string,
): Promise<Ended> {
  const child = spawnNode(['scripts/keyturn.js', ...args], { cwd, env: { ...minimal, ...env } }, checkout);
  child.stdin?.on('error', () => undefined); // it may end without reading
  child.stdin?.end(input);
  const timer = interruptAfter && setTimeout(() => child.kill('SIGINT'), interruptAfter);
  return collect(child).ended.finally(() => clearTimeout(timer));
}

/** Nothing of ours: neither settings nor what changes how Node or pg work. */
const minimal: Environment = { PATH: process.env.PATH ?? '' };

/**
 * Starts a program of a checkout. Through `env`, as tap adds NODE_OPTIONS to whatever a test spawns, by which Node
 * would record coverage: that takes twice the time, and another account may not write it.
 */
function spawnNode([script = '', ...args]: string[], options: SpawnOptions, checkout = project('.')): ChildProcess {
  return spawn('/usr/bin/env', ['-u', 'NODE_OPTIONS', process.execPath, join(checkout, script), ...args], options);
}

function collect(child: ChildProcess): { output: { stdout: string; stderr: string }; ended: Promise<Ended> } {
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text;
    });
  }
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...output }));
  });
  return { output, ended };
}

function logLines(stderr: string): Record<string, unknown>[] {
  return stderr
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
}

/** A folder that every account may enter, and that goes with the test. */
export async function openTemporaryFolder(t: Owner): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-'));
  await chmod(folder, 0o755);
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * Resolves once `holds` does, to the milliseconds that took; rejects after `within` milliseconds. Asks again and again,
 * so nothing waits longer than it must.
 */
export async function eventually(holds: () => unknown, within = 15_000): Promise<number> {
  const begun = performance.now();
  for (;;) {
    if (await holds()) return performance.now() - begun;
    if (performance.now() - begun > within) throw new Error(`not within ${within} ms: ${holds}`);
    await delay(10);
  }
}
