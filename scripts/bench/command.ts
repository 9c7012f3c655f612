/** What the benches have in common as commands: one flag, a log for what servers write, an end without remains. */
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stopServers } from './server-process.ts';

export interface BenchOptions {
  /** A Postgres on which databases may be made; undefined for the embedded one. */
  readonly postgres: string | undefined;
  /** File descriptor for what the servers write: the issuer's log. */
  readonly output: number;
}

/**
 * Runs `npm run <name> [-- --json]`. With DATABASE_URL on a new database of that server, else on an embedded one. Exit code
 * 1 if the bench rejects; a missed target is said, and is no failure.
 */
export async function command<Report>(
  name: string,
  bench: (options: BenchOptions) => Promise<Report>,
  render: (report: Report) => string,
): Promise<void> {
  const [flag, ...others] = process.argv.slice(2);
  if ((flag !== undefined && flag !== '--json') || others.length > 0) {
    process.stderr.write(`usage: npm run ${name} [-- --json]\n`);
    process.exit(2);
  }

  const log = join(tmpdir(), `keyturn-bench-${process.pid}.log`);
  const output = openSync(log, 'wx', 0o600);

  // Without servers the measurement under way fails, and clears up as after any failure.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stopServers());

  try {
    const report = await bench({ postgres: process.env.DATABASE_URL || undefined, output });
    process.stdout.write(flag === '--json' ? `${JSON.stringify(report, null, 2)}\n` : render(report));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\nThe last that the servers wrote:\n`);
    process.stderr.write(`${readFileSync(log, 'utf8').trimEnd().split('\n').slice(-20).join('\n')}\n`);
    process.exitCode = 1;
  } finally {
    closeSync(output);
    rmSync(log, { force: true });
  }
}
