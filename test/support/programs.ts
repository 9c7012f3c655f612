/** Servers of others that Keyturn runs behind or on, as processes of their own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** What a test, or a part of one, is asked for here. */
interface Owner {
  teardown(undo: () => unknown): void;
}

/** Where distributions put what only administrators run. */
const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin'];

/** The path of a program: in the variable of its name in capitals, or where programs are. */
function pathOf(name: string): string | undefined {
  const named = process.env[name.toUpperCase()];
  return [named, ...folders.map((folder) => join(folder, name))].find((path) => path && existsSync(path));
}

/** Why a test that needs the program cannot run here; false if it can. For tap's `skip`. */
export function without(name: string): string | false {
  return pathOf(name) === undefined && `NOT TESTED: no ${name} on this machine (${name.toUpperCase()}, or in PATH)`;
}

/** What `<name> --version` or the like says. */
export function versionOf(name: string, flag = '--version'): string {
  return execFileSync(pathOf(name) as string, [flag], { encoding: 'utf8' });
}

export interface Program {
  /** What it has written to standard output and standard error. */
  output(): string;
  kill(signal: NodeJS.Signals): void;
  /** Its exit code, null where a signal ended it. */
  readonly ended: Promise<number | null>;
}

export interface ProgramOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  /** Run as an account that may do nothing, where we are root: some refuse to be root. */
  readonly asNobody?: boolean;
  /** What ends it and all that it has started; SIGKILL where not given. */
  readonly stop?: NodeJS.Signals;
}

const nobody = { uid: 65_534, gid: 65_534 };
const isRoot = process.getuid?.() === 0;

/** Starts a program that ends with the test. */
export function startProgram(t: Owner, name: string, args: readonly string[], options: ProgramOptions = {}): Program {
  const child: ChildProcess = spawn(pathOf(name) ?? name, args, {
    ...(options.cwd && { cwd: options.cwd }),
    ...(options.asNobody && isRoot && nobody),
    env: { PATH: process.env.PATH ?? '', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  t.teardown(() => {
    child.kill(options.stop ?? 'SIGKILL');
    return ended;
  });
  return { output: () => output, kill: (signal) => child.kill(signal), ended };
}
