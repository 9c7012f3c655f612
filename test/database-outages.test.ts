import { setTimeout as delay } from 'node:timers/promises';
import { type Test, test } from 'tap';
import { startEmbeddedPostgres } from '../src/store/embedded/index.ts';
import { createBrowser } from './support/browser.ts';
import { emptyDatabase } from './support/database.ts';
import { startProxy } from './support/database-proxy.ts';
import { openFolder, readPid } from './support/embedded.ts';
import {
  type Answer,
  get,
  post,
  registerClient,
  registerResource,
  startIssuer,
  type TestIssuer,
  temporaryFolder,
} from './support/issuer.ts';
import { obtainTokens, registerApp, registerUser } from './support/people.ts';
import { eventually, spawnServer } from './support/process.ts';
import { execute } from './support/run.ts';

const log = () => {};

/** An issuer behind a proxy, with a machine, and a client whose people are signed in. */
async function start(t: Test, url: string) {
  const proxy = await startProxy(t, url);
  const beside = { databaseUrl: proxy.url, keysDir: await temporaryFolder(t) };
  const issuer = await startIssuer(t, { beside, settings: { REFRESH_GRACE: '60' } }); // a slow machine is out for long
  await registerResource(issuer);
  await registerUser(issuer);
  const machine = await registerClient(issuer);
  const app = await registerApp(issuer, {
    grantTypes: ['authorization_code', 'refresh_token'],
    scopes: ['openid', 'offline_access'],
    skipConsent: true,
  });
  const browser = createBrowser(issuer);
  const tokens = async (): Promise<{ access_token: string; refresh_token: string }> =>
    (await obtainTokens(issuer, app, { scope: 'openid offline_access' }, browser)).json;
  await tokens();
  return { proxy, issuer, machine, app, tokens };
}
type Setting = Awaited<ReturnType<typeof start>>;

interface Seen {
  readonly what: string;
  readonly status: number;
  readonly retryAfter: unknown;
  readonly begun: number;
  readonly ms: number;
}

/** All that comes while something is broken. `end` resolves to what was answered, and to what everybody holds then. */
function load({ issuer, machine, app }: Setting, given: readonly { access_token: string; refresh_token: string }[]) {
  const seen: Seen[] = [];
  const revoked: string[] = [];
  let over = false;
  async function ask(what: string, asking: () => Promise<Answer>): Promise<Answer> {
    const begun = performance.now();
    const answer = await asking();
    const { status, headers } = answer;
    seen.push({ what, status, retryAfter: headers['retry-after'], begun, ms: performance.now() - begun });
    return answer;
  }
  const { basic: authorization } = app;
  const refreshing = given.slice(4).map(async ({ refresh_token }) => {
    let held = refresh_token;
    while (!over) {
      const form = { grant_type: 'refresh_token', refresh_token: held };
      const { status, json } = await ask('refresh', () => post(issuer, '/token', form, { authorization }));
      if (status === 200) held = json.refresh_token;
      await delay(20);
    }
    return held;
  });
  const revoking = given.slice(0, 4).map(async ({ access_token: token }, at) => {
    await delay(400 * at);
    while ((await ask('revoke', () => post(issuer, '/revoke', { token }, { authorization }))).status !== 200) {
      if (over) return;
      await delay(50);
    }
    revoked.push(token);
  });
  const form = { grant_type: 'client_credentials' };
  const fromMemory = async () => {
    while (!over) {
      await ask('machine', () => post(issuer, '/token', form, { authorization: machine.basic }));
      for (const path of ['/.well-known/jwks.json', '/.well-known/openid-configuration', '/revocations']) {
        await ask(path, () => get(issuer, path));
      }
      await delay(20);
    }
  };
  const all = Promise.all([Promise.all(refreshing), Promise.all(revoking), fromMemory()]);
  return {
    seen,
    async end() {
      over = true;
      const [held] = await all;
      return { held, revoked };
    },
  };
}

const needing = ({ what }: Seen) => what === 'refresh' || what === 'revoke';

/** No 500, no long wait, and what comes from memory as if nothing were. */
function isBearable(t: Test, seen: readonly Seen[], when: string): void {
  const slowest = Math.round(Math.max(...seen.map(({ ms }) => ms)));
  const refused = seen.filter(({ status }) => status === 503);
  t.comment(`${when}: ${refused.length} of ${seen.length} refused, the slowest answer after ${slowest} ms`);
  t.same([...new Set(seen.filter((each) => !needing(each)).map(({ status }) => status))], [200], 'from memory');
  t.same(
    seen.filter((each) => needing(each) && each.status !== 200 && each.status !== 503),
    [],
    'there is 200 and 503 alone',
  );
  t.ok(refused.length > 0 && refused.every(({ retryAfter }) => Number(retryAfter) > 0), 'with Retry-After');
  t.ok(slowest < 6_500, 'nobody waits for long');
}

const isBack = (issuer: TestIssuer) =>
  eventually(async () => (await get(issuer, '/health/ready')).json.status === 'ok');

test('Postgres stops and starts under load, in good order and at once, and an instance dies meanwhile', async (t) => {
  const dataDir = await openFolder(t);
  const first = await startEmbeddedPostgres({ dataDir, log });
  const setting = await start(t, first.url);
  const { proxy, issuer, app, tokens } = setting;
  const given = await Promise.all(Array.from({ length: 12 }, tokens));
  const beside = await spawnServer(t, { DATABASE_URL: proxy.url, KEYS_DIR: issuer.keysDir, ISSUER: issuer.issuer });
  const { seen, end } = load(setting, given);
  await eventually(() => seen.filter(needing).length > 40);

  await first.stop();
  await eventually(async () => (await get(issuer, '/health/ready')).json.status === 'degraded');
  beside.kill('SIGKILL');
  const second = await startEmbeddedPostgres({ dataDir, log });
  proxy.aim(second.url);
  const tookOne = await isBack(issuer);

  process.kill((await readPid(second.folder)).pid, 'SIGQUIT');
  await second.exited;
  await eventually(async () => (await get(issuer, '/health/ready')).json.status === 'degraded');
  const third = await startEmbeddedPostgres({ dataDir, log });
  proxy.aim(third.url);
  const tookTwo = await isBack(issuer);
  t.ok(tookOne < 3_000 && tookTwo < 3_000, `back after ${Math.round(tookOne)} and ${Math.round(tookTwo)} ms`);

  const { held, revoked } = await end();
  isBearable(t, seen, 'two stops');
  for (const refresh_token of held) {
    const form = { grant_type: 'refresh_token', refresh_token };
    const { status } = await post(issuer, '/token', form, { authorization: app.basic });
    t.equal(status, 200, 'everybody goes on with the last that was answered');
  }
  const again = await startIssuer(t, { beside: { ...issuer, databaseUrl: third.url } });
  t.ok(revoked.length > 0);
  for (const token of revoked) {
    const { json } = await post(again, '/introspect', { token }, { authorization: app.basic });
    t.equal(json.active, false, 'what was answered as revoked is');
  }
  t.same(
    issuer.log.filter(({ msg }) => msg === 'request failed'),
    [],
  );
  await again.app.close();
  await issuer.app.close();
  await third.stop();
});

test('a network that falls silent: seconds until that is known, no wait from then on, and few who knock', async (t) => {
  const { url } = await emptyDatabase(t);
  const setting = await start(t, url);
  const { proxy, issuer, tokens } = setting;
  const given = await Promise.all(Array.from({ length: 50 }, tokens));
  const { seen, end } = load(setting, given);
  await eventually(() => seen.filter(needing).length > 60);
  const ears = await listening(url);
  proxy.freeze();
  const knownAfter = await eventually(async () => (await get(issuer, '/health/ready')).json.status === 'degraded');
  t.ok(knownAfter < 6_000, `known after ${Math.round(knownAfter)} ms`);
  isBearable(t, seen, 'silence');

  const from = { at: performance.now(), connections: proxy.connections() };
  const later = () => seen.filter((each) => needing(each) && each.begun > from.at);
  await eventually(() => later().length > 500);
  const since = later();
  const slowest = Math.round(Math.max(...since.map(({ ms }) => ms)));
  t.ok(slowest < 500, `who comes later is answered at once, ${slowest} ms`);
  const knocks = proxy.connections() - from.connections;
  const seconds = (performance.now() - from.at) / 1000;
  t.ok(knocks <= 2 + 2 * seconds, `${knocks} connections in ${seconds.toFixed(1)} s, of ${since.length} requests`);

  await proxy.mend();
  const took = await isBack(issuer);
  t.ok(took < 5_000, `back after ${Math.round(took)} ms`);
  const mended = performance.now();
  await eventually(() => later().filter(({ begun, status }) => begun > mended && status === 200).length > 300);
  t.same(
    later().filter(({ begun, status }) => begun > mended && status !== 200),
    [],
    'from then on all is served: no connection of before is used, though none has said that it is dead',
  );
  await eventually(async () => (await listening(url)).some((pid) => !ears.includes(pid)));
  const { held } = await end();
  for (const refresh_token of held) {
    const form = { grant_type: 'refresh_token', refresh_token };
    t.equal((await post(issuer, '/token', form, { authorization: setting.app.basic })).status, 200, 'nothing is lost');
  }
});

/** The connections that listen, those that are dead on our side included. */
async function listening(url: string): Promise<unknown[]> {
  const query = `SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND datname = current_database()`;
  return (await execute(url, query)).map(({ pid }) => pid);
}
