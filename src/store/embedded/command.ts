import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import type { Account } from './account.ts';
import { EmbeddedPostgresError } from './error.ts';

/**
 * Starts one of Postgres's own programs as `account`, in a session of its own: a Ctrl-C in the terminal reaches the
 * issuer alone, which decides when the database goes.
 */
export function launch(file: string, args: string[], account: Account, options: SpawnOptions): ChildProcess {
  return spawn(file, args, {
    ...account,
    cwd: '/', // ours may be one that the account cannot enter
    detached: true,
    ...options,
    // Nothing is inherited: PGDATA, LC_* and TZ would change what is made.
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC', ...options.env },
  });
}

/** Runs a Postgres program to its end, `input` on its standard input. Resolves to its exit code and all it printed. */
export function run(
  file: string,
  args: string[],
  account: Account,
  input = '',
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = launch(file, args, account, { stdio: 'pipe' });
    let output = '';
    child.stdout?.on('data', (chunk) => (output += chunk));
    child.stderr?.on('data', (chunk) => (output += chunk));
    child.stdin?.on('error', () => {}); // it ended without reading; its exit code tells
    child.stdin?.end(input);
    child.once('error', (cause) => reject(new EmbeddedPostgresError(cannotRun(file, cause.message), { cause })));
    child.once('close', (code) => resolve({ code, output }));
  });
}

/** The line for a program that this system refuses to execute (a C library other than glibc, a noexec mount). */
export function cannotRun(file: string, reason: string): string {
  return `the Postgres program ${file} cannot run on this system (${reason}); set DATABASE_URL to use another Postgres`;
}
