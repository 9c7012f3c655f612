/**
 * Runs test files, all of them or those that are named: `npm test`, `npm test -- dist/test/x.test.js`. A file that passes
 * is one line; of one that fails, everything but its passing assertions is shown. The last line but one counts them all.
 *
 * tap's own runner (`npx tap dist/test/x.test.js`) does the same for a few files. It loads TypeScript, mocks and coverage
 * into each process; nothing here uses them, and they cost more than most files' tests do.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';

/** What a process of tap counts at its end. */
interface Counts {
  readonly total: number;
  readonly pass: number;
  readonly fail: number;
  readonly skip: number;
}

/**
 * Seconds until a file is taken to hang: TAP_TIMEOUT, by which tap in that process knows as well. Long, because a machine
 * that has much else to do is no failure; what a test demands of time it says itself.
 */
const patience = process.env.TAP_TIMEOUT ?? '300';

/** Files at a time. More than CI has cores, as many a file waits for seconds to pass. */
const jobs = 3;

/**
 * With ONCE_MORE=1, as CI has it, so many files that have failed are run once more, alone: tests that kill processes and
 * take the database away depend on time, and a shared machine has bad moments. Both runs are said, the second counts.
 */
const mostRepeated = 12;

/** A file that squeezes hours of caches into seconds: what else the machine does then is hours too. It comes last, alone. */
const alone = 'rotation-load.test.js';

/** The files that take longest begin first: whoever came last would have the machine to itself. */
const longest = [
  ...['database-outages', 'kill', 'integrate-browser', 'embedded-postgres', 'proxies', 'integrate'],
  ...['cli-user', 'cli-clients', 'back-channel-delivery', 'algorithms', 'cli-changes', 'embedded-postgres-places'],
  ...['cli-arguments', 'doctor', 'cli-keys', 'rewrap', 'workers', 'cli-revoke'],
].map((name) => `${name}.test.js`);

const folder = import.meta.dirname;
const under: Set<ChildProcess> = new Set();
/** Of each file, as it went the last time. */
const outcomes = new Map<string, Counts>();
const begun = performance.now();

run('before.js');
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    for (const child of under) child.kill();
    run('after.js');
    process.exit(1);
  });
}
try {
  const all = chosen(process.argv.slice(2));
  const waiting = all.filter((file) => basename(file) !== alone);
  await Promise.all(
    Array.from({ length: jobs }, async () => {
      for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) await test(file);
    }),
  );
  for (const file of all.filter((file) => basename(file) === alone)) await test(file);
  const failed = [...outcomes].filter(([, { fail }]) => fail > 0);
  if (process.env.ONCE_MORE && failed.length <= mostRepeated) {
    for (const [file] of failed) {
      say(`# once more, alone: ${basename(file)}`);
      await test(file);
    }
  }
} finally {
  run('after.js');
}
const counts = sum([...outcomes.values()]);
if (counts.fail > 0) process.exitCode = 1;
const told = Object.entries(counts).filter(([name, count]) => name === 'total' || name === 'pass' || count > 0);
say(`# { ${told.map(([name, count]) => `${name}: ${count}`).join(', ')} }`);
say(`# time=${since(begun)}`);

function chosen(named: string[]): string[] {
  if (named.length > 0) return named.map((file) => resolve(file));
  const names = readdirSync(folder).filter((name) => name.endsWith('.test.js'));
  const rank = (name: string) => (longest.indexOf(name) + longest.length + 1) % (longest.length + 1);
  return names.sort((a, b) => rank(a) - rank(b)).map((name) => join(folder, name));
}

function sum(all: readonly Counts[]): Counts {
  const of = (name: keyof Counts) => all.reduce((total, counts) => total + counts[name], 0);
  return { total: of('total'), pass: of('pass'), fail: of('fail'), skip: of('skip') };
}

/** Runs one file and says how it went. */
async function test(file: string): Promise<void> {
  const started = performance.now();
  // A file ends before it pays to compile Prisma's WebAssembly a second time, and better: a tenth of its processor time.
  const child = spawn(process.execPath, ['--enable-source-maps', '--liftoff-only', file], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TAP_TIMEOUT: patience },
  });
  under.add(child);
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text;
    });
  }
  // tap gives up by itself, and says on what; this is for a process that no longer answers.
  const stubborn = setTimeout(() => child.kill('SIGKILL'), (Number(patience) + 15) * 1000);
  const [code, signal] = await once(child, 'close');
  clearTimeout(stubborn);
  under.delete(child);

  const own = countsOf(output.stdout);
  const failed = code !== 0 || own.total === 0;
  // A file that ends without a word has failed too.
  const silent = failed && own.fail === 0 ? 1 : 0;
  outcomes.set(file, { ...own, total: own.total + silent, fail: own.fail + silent });
  if (failed) {
    say(output.stdout.replace(/^( *ok |# \{ ).*\n/gm, ''));
  }
  process.stderr.write(output.stderr);
  const end = code === null ? `, ended by ${signal}` : code === 0 ? '' : `, exit code ${code}`;
  say(`${failed ? 'not ok' : 'ok'} - ${basename(file)} # ${own.pass} of ${own.total}, ${since(started)}${end}`);
}

/** tap's last line but one: `# { total: 12, pass: 11, fail: 1 }`. */
function countsOf(text: string): Counts {
  const line = /^# \{ (.*) \}$/m.exec(text)?.[1] ?? '';
  const count = (name: string) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(line)?.[1] ?? 0);
  return { total: count('total'), pass: count('pass'), fail: count('fail'), skip: count('skip') };
}

function run(script: string): void {
  const { status } = spawnSync(process.execPath, [join(folder, 'support', script)], { stdio: 'inherit' });
  if (status !== 0) throw new Error(`${script} ended with ${status}`);
}

function since(start: number): string {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
