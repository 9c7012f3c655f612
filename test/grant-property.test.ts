import { deepStrictEqual, ok } from 'node:assert/strict';
import fc from 'fast-check';
import { decodeJwt } from 'jose';
import tap, { test } from 'tap';
import { createBrowser } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { post, registerResource, startIssuer } from './support/issuer.ts';
import { authorizePath, newVerifier, redeem, registerApp, registerUser, signIn } from './support/people.ts';

/** Another walk: SEED=17 RUNS=1000 npx tap dist/test/grant-property.test.js */
const parameters = { seed: Number(process.env.SEED ?? 1), numRuns: Number(process.env.RUNS ?? 60) };

const clock = createTestClock();
const one = await startIssuer(tap, { clock });
const other = await startIssuer(tap, { clock, beside: one });
await registerResource(one);
await registerUser(one);
const app = await registerApp(one, {
  grantTypes: ['authorization_code', 'refresh_token'],
  scopes: ['openid', 'offline_access'],
  skipConsent: true,
});
await other.app.refresh();
const browser = createBrowser(one);

interface Step {
  /** `lose` is a refresh whose answer never arrives: a crash after the commit. */
  readonly act: 'redeem' | 'redeem without proof' | 'refresh' | 'lose' | 'revoke';
  /** Asked of the one instance or the other. */
  readonly here: boolean;
  /** Which of the refresh tokens that have been given out so far, the newest first. */
  readonly holds: number;
}

interface Round {
  /** All at the same time. */
  readonly steps: readonly Step[];
  /** What happens before the next round: a failover forgets the last commit. */
  readonly after: 'nothing' | 'grace passes' | 'failover' | 'expiry';
}

const holds = fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) });
const stepOf = (...acts: Step['act'][]) =>
  fc.record<Step>({ act: fc.constantFrom(...acts), here: fc.boolean(), holds });
const often: Step['act'][] = ['refresh', 'refresh', 'refresh', 'refresh', 'lose'];
const begin = fc.array(stepOf('redeem', 'redeem', 'redeem', 'redeem without proof'), { minLength: 1, maxLength: 2 });
const round = fc.record<Round>({
  steps: fc.array(stepOf(...often, ...often, 'revoke', 'redeem', 'redeem without proof'), {
    minLength: 1,
    maxLength: 4,
  }),
  after: fc.constantFrom(
    'nothing',
    'nothing',
    'nothing',
    'nothing',
    'grace passes',
    'grace passes',
    'failover',
    'expiry',
  ),
});
const history = fc.record({ begin, rounds: fc.array(round, { minLength: 1, maxLength: 7 }) });

interface Row {
  generation: number;
  ended: boolean;
}

const generationOf = (token: string) => Number(decodeJwt(token).gen);

/** How often something that is worth trying came about, over all histories. */
const seen = { refreshed: 0, refused: 0, 'given again': 0, ended: 0, alive: 0, 'no code redeemed': 0 };

/** Plays a history on a grant of its own. Every answer is held against those that were given before it was asked for. */
async function play(begin: readonly Step[], rounds: readonly Round[]): Promise<void> {
  const { verifier, challenge } = newVerifier();
  const path = authorizePath(app.id, challenge, { scope: 'openid offline_access' });
  const code = (await signIn(browser, path)).left?.searchParams.get('code') ?? '';
  const grantId = code.slice(5, 27);
  const change = (values: string) => one.database.query(`UPDATE "grant" SET ${values} WHERE id = $1`, [grantId]);

  /** Every one that was made, also where it got lost. */
  const accessTokens: string[] = [];
  /** Those that somebody has. */
  const refreshTokens: string[] = [];
  const shown = new Set<number>();
  let redemptions = 0;
  // What was answered in rounds before this one, and what is in this one too.
  const before = { redemptions: 0, ended: false, expired: false, lowest: 1 };
  let lowest = 1;
  let ended = false;

  async function take({ act, here, holds }: Step): Promise<void> {
    const instance = here ? one : other;
    if (act === 'redeem' || act === 'redeem without proof') {
      const shown = act === 'redeem' ? verifier : newVerifier().verifier;
      const { status, json } = await redeem(instance, app, code, shown);
      deepStrictEqual(status === 200 || json.error, status === 200 ? true : 'invalid_grant');
      if (status === 400) ended ||= act === 'redeem' && before.redemptions > 0;
      if (status === 400) return;
      ok(act === 'redeem', 'a code works with all its proof alone');
      redemptions += 1;
      accessTokens.push(json.access_token);
      refreshTokens.push(json.refresh_token);
      return;
    }
    const token = refreshTokens.at(-1 - (holds % Math.max(1, refreshTokens.length)));
    if (token === undefined) return;
    if (act === 'revoke') {
      deepStrictEqual((await post(instance, '/revoke', { token }, { authorization: app.basic })).status, 200);
      ended = true;
      return;
    }
    const form = { grant_type: 'refresh_token', refresh_token: token };
    const { status, json } = await post(instance, '/token', form, { authorization: app.basic });
    deepStrictEqual(status === 200 || json.error, status === 200 ? true : 'invalid_grant');
    const generation = generationOf(token);
    if (status === 400) {
      seen.refused += 1;
      ended ||= generation < before.lowest && !before.expired;
      return;
    }
    ok(!before.ended && !before.expired, 'nothing comes of a grant that is over');
    ok(generation >= before.lowest, `generation ${generation} lives again, after ${before.lowest}`);
    deepStrictEqual(generationOf(json.refresh_token), generation + 1);
    seen[shown.has(generation) ? 'given again' : 'refreshed'] += 1;
    shown.add(generation);
    lowest = Math.max(lowest, generation);
    accessTokens.push(json.access_token);
    if (act === 'refresh') refreshTokens.push(json.refresh_token);
  }

  for (const { steps, after } of [{ steps: begin, after: 'nothing' }, ...rounds]) {
    await Promise.all(steps.map(take));
    ok(redemptions <= 1, 'a code works once');
    Object.assign(before, { redemptions, ended, lowest: Math.max(before.lowest, lowest) });
    if (after === 'grace passes') {
      await change(`rotated_at = rotated_at - interval '11 seconds'`);
      // What was shown last may have been answered in this second, or be the next to show.
      const [row] = await one.database.query<Row>('SELECT generation FROM "grant" WHERE id = $1', [grantId]);
      before.lowest = Math.max(before.lowest, Number(row?.generation));
    } else if (after === 'failover') {
      const [row] = await one.database.query<Row>(
        `UPDATE "grant" SET generation = generation - 1 WHERE id = $1 AND generation > 1 AND revoked_at IS NULL
         RETURNING generation`,
        [grantId],
      );
      if (row !== undefined) lowest = before.lowest = Math.min(lowest, Math.max(1, row.generation - 1));
    } else if (after === 'expiry') {
      await change(`expires_at = to_timestamp(${clock.now()})`);
      before.expired = true;
    }
  }

  const [row] = await one.database.query<Row>(
    'SELECT generation, revoked_at IS NOT NULL AS ended FROM "grant" WHERE id = $1',
    [grantId],
  );
  ok(row?.ended || !ended, 'what was answered as ended has ended');
  for (const instance of [one, other]) {
    await instance.app.refresh();
    for (const token of accessTokens) {
      const { json } = await post(instance, '/introspect', { token }, { authorization: app.basic });
      deepStrictEqual(json.active, !row?.ended, 'all that it gave is void, or none of it');
    }
  }
  seen[redemptions === 0 ? 'no code redeemed' : row?.ended ? 'ended' : 'alive'] += 1;
}

test('however codes, refreshes, replays, revocations, crashes and expiry fall together, one lineage lives or none', async (t) => {
  await fc.assert(
    fc.asyncProperty(history, ({ begin, rounds }) => play(begin, rounds)),
    parameters,
  );
  t.comment(JSON.stringify(seen));
  for (const [what, count] of Object.entries(seen)) t.ok(count > 0, `it came about: ${what}`);
});
