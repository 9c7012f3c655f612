import { test } from 'tap';
import { promises } from './support/lifecycle-promises.ts';
import { simulate } from './support/simulation.ts';

/** One history plays again with SEED=17 node dist/test/lifecycle-simulation.test.js */
const seed = Number(process.env.SEED ?? 0);
const seeds = seed > 0 ? [seed] : Array.from({ length: 400 }, (_, index) => index + 1);
const histories = seeds.map((seed) => ({ seed, history: simulate(seed) }));

for (const [promise, check] of Object.entries(promises)) {
  test(promise, async (t) => {
    const broken = histories.flatMap(({ seed, history }) => check(history).map((what) => `SEED=${seed}: ${what}`));
    t.same(broken.slice(0, 5), []);
  });
}

test('the histories are not idle', { skip: seed > 0 }, async (t) => {
  const all = histories.map(({ history }) => history);
  const signers = all.map(({ stretches }) => new Set(stretches.map(({ signer }) => signer?.kid)).size);
  const revoked = all.map(({ commits }) => {
    return new Set(commits.flatMap(({ rows }) => rows.flatMap((row) => (row.revokedAt === null ? [] : [row.kid]))))
      .size;
  });
  const outages = all.filter(({ rotatorRan }) => rotatorRan.length > 1);
  const restarts = all.filter(({ stretches }) => stretches.some(({ life }) => life > 0));
  const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);
  t.ok(sum(signers) > 2000, 'keys that signed');
  t.ok(sum(revoked) > 300, 'keys that were revoked');
  t.ok(outages.length > 50, 'histories in which the rotator stood still');
  t.ok(restarts.length > 100, 'histories in which an instance crashed');
});
