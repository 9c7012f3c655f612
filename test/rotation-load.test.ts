import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { t as file, test } from 'tap';
import { startFleet } from '../scripts/bench/rotation/fleet.ts';
import { beginTrial } from '../scripts/bench/rotation/trial.ts';
import { freshDatabase } from './support/database.ts';
import { startProxy } from './support/database-proxy.ts';
import { openTemporaryFolder } from './support/process.ts';

file.setTimeout(120_000);

test('three instances: keys turn, are revoked, one instance dies, Postgres goes away: no good token is refused', async (t) => {
  const { url } = await freshDatabase(t);
  const proxy = await startProxy(t, url);
  const folder = await openTemporaryFolder(t);
  const output = await open(join(folder, 'log'), 'a');
  const fleet = await startFleet({ databaseUrl: proxy.url, folder, output: output.fd, instances: 3 });
  t.teardown(async () => {
    await fleet.stop();
    await output.close();
  });
  const trial = await beginTrial(fleet, 40, 2_000);

  await delay(500); // all verifiers have the keys
  t.equal((await trial.emergency('ES256', 1, 0)).length, 1);
  const restarted = fleet.killAndRestart(1, 200);
  const [rotated] = (await fleet.keyturn('keys', 'rotate', '--now', '--alg', 'RS256')) as { changed: boolean }[];
  t.equal(rotated?.changed, true);
  await restarted;
  // Announced to all before some are cut off: a lead of hours takes an outage of minutes, and this one is seconds long.
  await trial.standbysKnown(['ES256', 'RS256'], 3);
  proxy.cut();
  await delay(1_500);
  await proxy.mend();
  await delay(500);
  // Once its standby is older than any cache: what the lead sees to, but for an emergency that follows another.
  t.equal((await trial.emergency('ES256', 2, 10)).length, 2);
  await delay(1_500);

  const counts = await trial.finish();
  t.same(counts.refused, {}, 'no good token is refused');
  t.equal(counts.unknownKids, 0);
  t.same(counts.void.acceptedLate, {}, 'tokens of a revoked key are refused once caches have expired');
  t.ok(counts.void.refused > 0);
  t.ok(counts.mostPublished <= 4, `at most ${counts.mostPublished} keys of an algorithm`);
  t.ok(counts.longestOverlap < 2_500, `two keys signed for ${counts.longestOverlap} ms at most`);
  t.ok((counts.signers.ES256 ?? 0) >= 3 && (counts.signers.RS256 ?? 0) >= 2, JSON.stringify(counts.signers));
  t.ok(counts.issued > 100, `${counts.issued} tokens`);
  t.comment(JSON.stringify(counts));
});
