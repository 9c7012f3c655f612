import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { t as file, type Test, test } from 'tap';
import { emptyDatabase } from './support/database.ts';
import { registerResource, startIssuer, temporaryFolder } from './support/issuer.ts';
import { createLane, type Seen } from './support/lane.ts';
import { registerApp, registerUser } from './support/people.ts';
import { launchServer, type ServerProcess, spawnServer } from './support/process.ts';
import { project } from './support/project.ts';
import { createRandom } from './support/random.ts';

/**
 * `npm run test:kill`. Each time other moments and acts, whose seed is said: with SEED they come again, as far as the
 * machine keeps step.
 */
const seed = Number(process.env.SEED ?? randomInt(1, 1_000_000));
const runs = Number(process.env.RUNS ?? 4);
file.comment(`SEED=${seed} RUNS=${runs}`);

/** The two tests wait for different things. */
file.jobs = 2;

/** What a test, or one round of it, is asked for here. */
interface Owner {
  teardown(undo: () => unknown): void;
}

/** Runs one round, and takes down what it has put up. */
async function round(work: (owner: Owner) => Promise<void>): Promise<void> {
  const undos: (() => unknown)[] = [];
  try {
    await work({ teardown: (undo) => undos.push(undo) });
  } finally {
    for (const undo of undos.reverse()) await undo();
  }
}

async function kill(server: ServerProcess): Promise<void> {
  server.kill('SIGKILL');
  await server.ended;
}

/** Whether a start has succeeded: the message is there, and nothing was logged that is worse than a warning. */
function hasStarted(t: Test, server: ServerProcess): void {
  if (!server.stdout().includes('Next, '))
    t.fail('a start fails', { stdout: server.stdout(), stderr: server.stderr() });
  const errors = server.log().filter(({ level }) => Number(level) >= 50);
  if (errors.length > 0) t.fail('a start complains', { errors });
}

/** Resolves when the command line is done; it is killed as well unless it is. */
function launchCommand(owner: Owner, env: Record<string, string>, args: readonly string[]): Promise<unknown> {
  // tap adds NODE_OPTIONS to whatever a test spawns.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, project('scripts/keyturn.js'), ...args];
  const child = spawn('/usr/bin/env', command, { env, cwd: '/', stdio: 'ignore' });
  const ended = once(child, 'exit');
  owner.teardown(() => {
    child.kill('SIGKILL');
    return ended;
  });
  return ended;
}

/** What an administrator does meanwhile, in turn, and how many times as long as the shortest command it takes at the most. */
const acts: readonly ({ args: readonly string[]; times: number } | undefined)[] = [
  { args: ['keys', 'rewrap', '--new'], times: 6 },
  undefined,
  { args: ['keys', 'rotate', '--now'], times: 2 },
  ...Array.from({ length: 5 }, () => undefined),
];

const grace = 60;

interface Walk {
  readonly seed: number;
  readonly runs: number;
  readonly seen: Seen;
  /** Aborted where another one has failed. */
  readonly signal: AbortSignal;
}

/** One issuer with a database of its own, and who uses it: killed so many times. */
async function walk(t: Test, { seed, runs, seen, signal }: Walk): Promise<void> {
  const issuer = await startIssuer(file, { listen: true, settings: { REFRESH_GRACE: String(grace) } });
  await registerResource(issuer);
  const { email } = await registerUser(issuer);
  const app = await registerApp(issuer, {
    grantTypes: ['authorization_code', 'refresh_token'],
    scopes: ['openid', 'offline_access'],
    skipConsent: true,
  });
  await issuer.app.close();
  const env = {
    DATABASE_URL: issuer.databaseUrl,
    KEYS_DIR: issuer.keysDir,
    ISSUER: issuer.issuer,
    PORT: new URL(issuer.issuer).port,
    REFRESH_GRACE: String(grace),
  };
  let run = 0;
  const where = () => `run ${run}, ${new Date().toISOString()}`;
  const lanes = Array.from({ length: 6 }, (_, place) =>
    createLane({ issuer, app, email, random: createRandom(seed + place), seen, grace, where }),
  );
  const random = createRandom(seed + lanes.length);
  let commandTakes = 0;

  /** A server as people find it after whatever has been: it starts, and all that was answered is so. */
  async function startAgain(owner: Owner): Promise<ServerProcess> {
    // As a minute later: whoever was killed counts as alive until then, and would have to hold a new key-encryption key.
    await issuer.database.query('DELETE FROM instance');
    const server = await spawnServer(owner, env);
    hasStarted(t, server);
    await Promise.all(lanes.map((lane) => lane.audit()));
    return server;
  }

  async function someSteps(): Promise<void> {
    for (const lane of lanes) for (let more = 0; more < 3; more += 1) await lane.step();
  }

  for (; run < runs && !signal.aborted; run += 1) {
    await round(async (owner) => {
      const server = await startAgain(owner);
      if (run === 0) {
        await someSteps();
        const begun = performance.now();
        await server.keyturn('keys', 'list');
        commandTakes = performance.now() - begun;
      }
      const act = acts[run % acts.length];
      const done = act && launchCommand(owner, env, act.args);
      let killed = false;
      let left = random.whole(1, 80);
      let enough = () => {};
      const soon = new Promise<void>((resolve) => {
        enough = resolve;
      }).then(() => delay(random.whole(0, 15)));
      const walking = lanes.map(async (lane) => {
        for (;;) {
          try {
            left -= 1;
            if (left === 0) enough();
            await lane.step();
          } catch (error) {
            if (killed && error instanceof TypeError) return; // what `fetch` throws where nobody is
            throw error;
          }
        }
      });
      const all = Promise.all(walking);
      all.catch(() => undefined);
      // Amidst a step, however long the machine takes for one, or amidst what the administrator does, while that lasts.
      if (act === undefined) await Promise.race([soon, all]);
      else await Promise.race([delay(random.whole(5, act.times * commandTakes)), all, done]);
      killed = true;
      await kill(server);
      await all;
    });
  }

  await round(async (owner) => {
    const server = await startAgain(owner);
    const { code, stderr } = await server.keyturn('keys', 'rewrap');
    t.equal(code, 0, `what a rewrap left is gone on with: ${stderr}`);
    await someSteps();
  });
}

test('killed at any moment of what people, apps and administrators do, it starts again and nothing answered is lost', async (t) => {
  const seen: Seen = {
    signedIn: 0,
    redeemed: 0,
    refreshed: 0,
    ended: 0,
    voided: 0,
    doneUnheard: 0,
    undoneUnheard: 0,
    endedUnheard: 0,
    aliveUnheard: 0,
    lapsed: 0,
    refused: 0,
  };
  // Two side by side take half the time: a start, which is most of it, keeps one core busy.
  const failed = new AbortController();
  const share = { seen, signal: failed.signal };
  const walks = [
    walk(t, { ...share, seed, runs: Math.ceil(runs / 2) }),
    walk(t, { ...share, seed: seed + 1_000, runs: Math.floor(runs / 2) }),
  ].map((walking) =>
    walking.catch((error) => {
      failed.abort();
      throw Object.assign(error, { seed });
    }),
  );
  for (const walked of await Promise.allSettled(walks)) if (walked.status === 'rejected') throw walked.reason;
  t.comment(`${runs} kills: ${JSON.stringify(seen)}`);
  const { lapsed, refused, ...expected } = seen; // those two come of a slow machine
  for (const what of ['signedIn', 'redeemed', 'refreshed'] as const) t.ok(seen[what] > 0, `it came about: ${what}`);
  if (runs >= 100) for (const [what, count] of Object.entries(expected)) t.ok(count > 0, `it came about: ${what}`);
});

test('killed at any moment of a first start, the next one succeeds', async (t) => {
  const random = createRandom(seed);
  for (let run = 0; run < Math.ceil(runs / 8); run += 1) {
    await round(async (owner) => {
      const { url } = await emptyDatabase(owner as Parameters<typeof emptyDatabase>[0]);
      const env = { DATABASE_URL: url, KEYS_DIR: await temporaryFolder(owner as Test) };
      const first = await launchServer(owner, env);
      await Promise.race([delay(random.whole(200, 1_800)), first.started]);
      await kill(first);
      const second = await spawnServer(owner, env);
      hasStarted(t, second);
      t.match(second.stdout(), 'ES256 (2 published), RS256 (2 published)');
      await kill(second);
    });
  }
});
