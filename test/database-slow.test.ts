import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { t as file, type Test, test } from 'tap';
import { createBrowser } from './support/browser.ts';
import {
  type Answer,
  get,
  post,
  registerClient,
  registerResource,
  startIssuer,
  type TestIssuer,
} from './support/issuer.ts';
import { obtainTokens, registerApp, registerUser } from './support/people.ts';
import { eventually } from './support/process.ts';

const issuer = await startIssuer(file);
const beside = await startIssuer(file, { beside: issuer });
await registerResource(issuer);
await registerUser(issuer);
const machine = await registerClient(issuer);
const app = await registerApp(issuer, {
  grantTypes: ['authorization_code', 'refresh_token'],
  scopes: ['openid', 'offline_access'],
  skipConsent: true,
});
await beside.app.refresh();
const authorization = app.basic;
const browser = createBrowser(issuer);
/** Of one sign-in: many at once would wait for their passwords. */
const tokens = async () => (await obtainTokens(issuer, app, { scope: 'openid offline_access' }, browser)).json;
await tokens();

/** Somebody outside who runs a statement in a transaction and keeps what it has locked, until the answer is called. */
async function holding(t: Test, statement: string): Promise<() => Promise<void>> {
  const client = new pg.Client(issuer.databaseUrl);
  await client.connect();
  let over: Promise<void> | undefined;
  const release = () => {
    over ??= client.end();
    return over;
  };
  t.teardown(release);
  await client.query(`BEGIN; ${statement}`);
  return release;
}

interface Timed extends Answer {
  readonly ms: number;
}

async function timed(asking: Promise<Answer>): Promise<Timed> {
  const since = performance.now();
  return { ...(await asking), ms: performance.now() - since };
}

const refresh = (token: string, at: TestIssuer = issuer) =>
  timed(post(at, '/token', { grant_type: 'refresh_token', refresh_token: token }, { authorization }));
const revoke = (token: string, at: TestIssuer = issuer) => timed(post(at, '/revoke', { token }, { authorization }));
const machineToken = () =>
  timed(post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: machine.basic }));
const isActive = async (token: string) => (await post(issuer, '/introspect', { token }, { authorization })).json.active;

function isRefusedInTime(t: Test, { status, json, headers, ms }: Timed, within: number, what: string): void {
  t.same([status, json.error, headers['retry-after']], [503, 'temporarily_unavailable', '5'], what);
  t.ok(ms < within, `${what}: ${Math.round(ms)} ms`);
}

test('a table that somebody keeps locked: all who need it are answered within seconds, and nobody else waits', async (t) => {
  const given = await Promise.all(Array.from({ length: 30 }, tokens));
  const release = await holding(t, 'LOCK TABLE "grant", "user" IN ACCESS EXCLUSIVE MODE');

  const slow = Promise.all([
    ...given.map(({ refresh_token }) => refresh(refresh_token)),
    ...given.map(({ refresh_token }) =>
      timed(post(issuer, '/introspect', { token: refresh_token }, { authorization })),
    ),
  ]);
  await eventually(async () => (await waiting()) >= 10);
  t.equal((await machineToken()).status, 200, 'machines, from memory');
  t.equal((await get(issuer, '/.well-known/jwks.json')).status, 200);
  const [first] = given;
  t.equal((await revoke(first?.access_token, beside)).status, 200, 'what is not locked goes on');
  const took = await eventually(async () => !(await isActive(first?.access_token)));
  t.ok(
    took < 2_500,
    `though all connections wait, what is revoked elsewhere is known here after ${Math.round(took)} ms`,
  );
  t.equal((await get(issuer, '/health/ready')).json.status, 'ok');

  for (const answer of await slow) isRefusedInTime(t, answer, 6_000, 'who needs it');
  t.equal(await waiting(), 0, 'and nobody waits on behind our back');
  await release();
  for (const { refresh_token } of given.slice(1))
    t.equal((await refresh(refresh_token)).status, 200, 'nothing is lost');
});

/** How many of our statements wait for a lock. */
async function waiting(): Promise<number> {
  const [row] = await issuer.database.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name = 'keyturn'`,
  );
  return row?.count ?? 0;
}

test('a change log that is locked for long: revoking is refused in time, and refreshing goes on', async (t) => {
  const given = await Promise.all([1, 2, 3].map(tokens));
  const lock = `SELECT pg_advisory_xact_lock(${0x6b74}, 1); LOCK TABLE change IN ACCESS EXCLUSIVE MODE`;
  const release = await holding(t, lock);
  const [one, two, three] = given;
  const refused = Promise.all([
    revoke(one?.access_token),
    revoke(two?.refresh_token),
    revoke(one?.access_token, beside),
  ]);
  const status = async () => (await get(issuer, '/health/ready')).json.status;
  await eventually(async () => (await status()) === 'degraded');
  t.equal((await refresh(three?.refresh_token)).status, 200, 'a database that answers is asked');
  for (const answer of await refused) isRefusedInTime(t, answer, 6_000, 'revoking');
  t.equal(await isActive(one?.access_token), true, 'nothing half done');
  await release();
  await eventually(async () => (await status()) === 'ok');
  t.equal((await refresh(two?.refresh_token)).status, 200);
  t.equal((await revoke(one?.access_token)).status, 200);
  t.equal(await isActive(one?.access_token), false);
});

test('every connection ended at once: 503 for what was under way at the worst, and the next request is served', async (t) => {
  const given = await Promise.all(Array.from({ length: 8 }, tokens));
  let cut = false;
  const seen: Timed[] = [];
  const lanes = given.map(async ({ refresh_token }) => {
    let held = refresh_token;
    for (let after = 0; after < 5; after += cut ? 1 : 0) {
      const answer = await refresh(held);
      seen.push(answer);
      if (answer.status === 200) held = answer.json.refresh_token;
      else await delay(200);
    }
    return refresh(held);
  });
  await eventually(() => seen.length > 40);
  await issuer.database.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
  );
  cut = true;
  for (const { status } of await Promise.all(lanes)) t.equal(status, 200, 'each goes on from where it was');
  const refused = seen.filter(({ status }) => status !== 200);
  t.comment(`${refused.length} of ${seen.length} refused`);
  for (const answer of refused) isRefusedInTime(t, answer, 1_000, 'under way');
  t.same(
    issuer.log.filter(({ msg }) => msg === 'request failed'),
    [],
  );
});
