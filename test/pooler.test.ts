/** A real PgBouncer between the issuers and Postgres (docs/operate.md, "Poolers"). */
import { type Test, test } from 'tap';
import { openDatabase } from '../src/store/database.ts';
import { explainDatabaseError } from '../src/store/database-errors.ts';
import { freshDatabase } from './support/database.ts';
import { get, post, startIssuer, type TestIssuer } from './support/issuer.ts';
import { obtainTokens } from './support/people.ts';
import { type PoolerOptions, preparesInTransactions, startPooler } from './support/pgbouncer.ts';
import { eventually, keyturn } from './support/process.ts';
import { without } from './support/programs.ts';
import { execute } from './support/run.ts';
import { registerWalkers, walkEverywhere, walkFirstParty } from './support/walks.ts';

const skip = without('pgbouncer');
const skipTransactions = skip || (!preparesInTransactions() && 'NOT TESTED: this pgbouncer is older than 1.21');

/** A database with all tables, which an issuer has made and left. */
async function prepare(t: Test) {
  const { app, databaseUrl, keysDir } = await startIssuer(t);
  await app.close();
  return { databaseUrl, keysDir };
}

/** Two instances behind a pooler. */
async function start(t: Test, options: PoolerOptions, settings: readonly string[] = []) {
  const { databaseUrl, keysDir } = await prepare(t);
  const name = new URL(databaseUrl).pathname.slice(1);
  for (const setting of settings) await execute(databaseUrl, `ALTER DATABASE ${name} SET ${setting}`);
  const { url } = await startPooler(t, databaseUrl, options);
  const beside = { databaseUrl: url, keysDir };
  const one = await startIssuer(t, { beside });
  const other = await startIssuer(t, { beside });
  const walkers = await registerWalkers(one);
  await other.app.refresh();
  return { databaseUrl, one, other, walkers, env: { DATABASE_URL: url, KEYS_DIR: keysDir } };
}

type Started = Awaited<ReturnType<typeof start>>;

/** All that people and apps ask, of both instances at once; rotation by one and the other in turn; an administrator. */
async function walk(t: Test, { one, other, walkers, env }: Started): Promise<void> {
  const { app } = walkers;
  await Promise.all(
    [one, other].map(async (issuer) => {
      let { refreshToken } = await walkEverywhere(issuer, walkers);
      t.same(await walkFirstParty(issuer, walkers), [200, 200, 204]);
      for (let count = 0; count < 10; count += 1) {
        const form = { grant_type: 'refresh_token', refresh_token: refreshToken };
        const { status, json } = await post(count % 2 ? one : other, '/token', form, { authorization: app.basic });
        t.equal(status, 200);
        refreshToken = json.refresh_token;
      }
    }),
  );
  t.equal((await keyturn(env, 'keys', 'rotate', '--now')).code, 0);
  const kids = async (issuer: TestIssuer) => (await get(issuer, '/.well-known/jwks.json')).text;
  await eventually(
    async () => (await kids(one)) === (await kids(other)) && /"keys":\[({.*?}.*?){5,}/.test(await kids(one)),
  );
  const complaints = [...one.log, ...other.log].filter(({ level }) => Number(level) >= 40);
  t.same(complaints, []);
}

/** Milliseconds from a revocation at one instance until the other refuses the token. */
async function revokeAndWait({ one, other, walkers: { app } }: Started): Promise<number> {
  const { json } = await obtainTokens(one, app, { scope: 'openid' });
  const alive = async () =>
    (await get(other, '/userinfo', { authorization: `Bearer ${json.access_token}` })).status === 200;
  await eventually(alive);
  await post(one, '/revoke', { token: json.access_token }, { authorization: app.basic });
  return eventually(async () => !(await alive()));
}

test('by sessions all works, notifications too', { skip }, async (t) => {
  const started = await start(t, { mode: 'session', size: 40 });
  await walk(t, started);
  const listening = `SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND datname = current_database()`;
  await eventually(async () => (await execute(started.databaseUrl, listening)).length === 2);
  await revokeAndWait(started);
});

test('by transactions all works but notifications, in place of which it polls', {
  skip: skipTransactions,
}, async (t) => {
  const started = await start(t, { mode: 'transaction', size: 3 }, [`timezone = 'Asia/Tokyo'`]);
  await walk(t, started);
  const took = await revokeAndWait(started);
  t.ok(took < 2_500, `${took} ms`);
  const [row] = await execute(
    started.databaseUrl,
    `SELECT max(abs(extract(epoch FROM now() - started_at))) AS off FROM interaction`,
  );
  t.ok(Number(row?.off) < 60, 'times are of one zone, whichever connection wrote them');
});

test('a pooler that loses prepared statements is explained, by what to do', { skip }, async (t) => {
  const { url } = await startPooler(t, (await freshDatabase(t)).url, { mode: 'transaction', size: 3, prepares: false });
  const database = openDatabase(url);
  t.teardown(() => database.close());
  const asked = await Promise.allSettled(Array.from({ length: 20 }, () => database.query('SELECT pg_sleep(0.01)')));
  const failures = asked.flatMap((one) =>
    one.status === 'rejected' ? [explainDatabaseError(one.reason, database.address)] : [],
  );
  t.ok(failures.length > 0);
  for (const failure of failures) {
    t.match(failure, {
      kind: 'configuration',
      message: /let it pool sessions, or keep them \(PgBouncer 1\.21, max_prepared/,
    });
  }
});
