/**
 * `npm run bench:rotation [-- <turns>]`: three issuers on one embedded Postgres, 200 tokens a second, and everything that
 * can happen to them while keys of both algorithms turn, 20 times each if not said otherwise. Prints what was counted;
 * exit code 1 if a good token was refused, a kid was unknown, or more keys were published than may be.
 */
import { chmodSync, closeSync, openSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startEmbeddedPostgres } from '../../../src/store/embedded/index.ts';
import { startBalancer } from './balancer.ts';
import { type Fleet, startFleet, times } from './fleet.ts';
import { beginTrial, type Counts, type Trial } from './trial.ts';

const [given = '20', ...others] = process.argv.slice(2);
const turns = Number(given);
if (!Number.isInteger(turns) || turns < 1 || others.length > 0) {
  process.stderr.write('usage: npm run bench:rotation [-- <turns>]\n');
  process.exit(2);
}

const perSecond = 200;
const folder = await mkdtemp(join(tmpdir(), 'keyturn-rotation-'));
chmodSync(folder, 0o755); // as root, Postgres runs as another account, which has to come there
const output = openSync(join(folder, 'log'), 'a');
const log = (line: string) => process.stderr.write(`${((performance.now() - began) / 1000).toFixed(0)} s: ${line}\n`);
const began = performance.now();

let postgres = await startEmbeddedPostgres({ dataDir: folder, log: () => {} });
const forward = await startBalancer(() => [Number(new URL(postgres.url).port)]);
const databaseUrl = new URL(postgres.url);
databaseUrl.port = String(forward.port);
let fleet: Fleet | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void clearUp().finally(() => process.exit(1)));
try {
  fleet = await startFleet({ databaseUrl: databaseUrl.href, folder, output, instances: 3 });
  const trial = await beginTrial(fleet, perSecond);
  log(`three instances, ${perSecond} tokens/s, until keys have turned ${turns} times`);
  await Promise.all([turnsOf(trial, fleet), mishaps(trial, fleet)]);
  report(await trial.finish());
} finally {
  await clearUp();
}

async function clearUp(): Promise<void> {
  await fleet?.stop();
  forward.close();
  await postgres.stop();
  closeSync(output);
  for (const path of new Set([folder, dirname(postgres.folder)])) rmSync(path, { recursive: true, force: true });
}

/** Waits until so many keys of each algorithm have taken their turn. */
async function turnsOf(trial: Trial, fleet: Fleet): Promise<void> {
  for (let least = 0; least < turns; ) {
    await delay(1_000);
    least = Math.min(...['ES256', 'RS256'].map((alg) => trial.signers(alg) - 1));
    if (fleet.ports().length === 0) log('no instance is up');
  }
}

/** An instance dies in each phase of a key, Postgres restarts twice, keys are revoked, once twice in a row. */
async function mishaps(trial: Trial, fleet: Fleet): Promise<void> {
  const period = times.keySignFor * 1000;
  // One after the other, so that two are always up; each a little later in the life of the keys.
  for (const instance of [0, 1, 2, 0, 1]) {
    await delay(0.3 * period);
    log(`kill -9 of instance ${instance}`);
    await fleet.killAndRestart(instance, 500);
  }
  for (let n = 0; n < 2; n += 1) {
    await restartPostgres(n * 3_000);
    await delay(period);
  }
  log(`revoked: ${await trial.emergency('ES256', 1, 11)}`);
  log(`revoked: ${await trial.emergency('RS256', 1, 11)}`);
  await delay(2 * period);
  log(`revoked in a row: ${(await trial.emergency('ES256', 2, 11)).join(' and ')}`);
}

async function restartPostgres(away: number): Promise<void> {
  log(`Postgres restarts, away for ${away / 1000} s and what the restart takes`);
  await postgres.stop();
  await delay(away);
  postgres = await startEmbeddedPostgres({ dataDir: folder, log: () => {} });
}

function report(counts: Counts): void {
  const { refused, void: revoked, signers } = counts;
  const lines: [string, string | number][] = [
    ['seconds', Math.round((performance.now() - began) / 1000)],
    ['tokens issued', counts.issued],
    ['requests without a token (broken connections, 503)', counts.notIssued],
    ['verifications by jose, jwks-rsa and @keyturn/verifier', counts.verifications],
    [
      'keys that signed',
      Object.entries(signers)
        .map(([alg, count]) => `${count} ${alg}`)
        .join(', '),
    ],
    ['times that no JWKS could be fetched, and was asked again', counts.withoutJwks],
    ['verifications that lasted until the token had expired', counts.overtaken],
    ['good tokens refused', sum(Object.values(refused).map(({ count }) => count))],
    ['of these for an unknown kid', counts.unknownKids],
    ['good tokens refused after two emergencies in a row', counts.refusedInWindow],
    ['tokens of revoked keys: refused', revoked.refused],
    ['accepted while caches lived', revoked.acceptedInTime],
    ['accepted later', sum(Object.values(revoked.acceptedLate))],
    ['two keys of one algorithm signed at once, ms at most', Math.round(counts.longestOverlap)],
    ['keys of one algorithm in a JWKS, at most', counts.mostPublished],
  ];
  for (const [what, count] of lines) process.stdout.write(`${what.padEnd(56)} ${count}\n`);
  for (const [said, { count, from, until }] of Object.entries(refused)) {
    process.stdout.write(`  refused ${count} times from ${from} s to ${until} s: ${said}\n`);
  }
  for (const [name, count] of Object.entries(revoked.acceptedLate)) process.stdout.write(`  late: ${count} ${name}\n`);
  const broken = Object.keys(refused).length + Object.keys(revoked.acceptedLate).length;
  const held = broken === 0 && counts.mostPublished <= 4;
  process.exitCode = held ? 0 : 1;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
