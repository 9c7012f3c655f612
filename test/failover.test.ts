/** A standby takes over from a Postgres that is gone, with and without what was committed last (docs/operate.md). */
import { decodeJwt } from 'jose';
import { type Test, test } from 'tap';
import { createBrowser } from './support/browser.ts';
import { startProxy } from './support/database-proxy.ts';
import { get, post, registerResource, startIssuer, temporaryFolder } from './support/issuer.ts';
import { authorizePath, newVerifier, redeem, registerApp, registerUser, signIn } from './support/people.ts';
import { eventually } from './support/process.ts';
import { execute } from './support/run.ts';
import { startPair } from './support/standby.ts';

const scope = 'openid offline_access';

async function start(t: Test) {
  let replication = { cut() {} };
  const pair = await startPair(t, {
    async through(port) {
      const proxy = await startProxy(t, `postgresql://127.0.0.1:${port}`);
      replication = proxy;
      return Number(new URL(proxy.url).port);
    },
  });
  // What stands before both in real life: an address that moves, a name, a pooler.
  const address = await startProxy(t, pair.primary.url);
  const beside = { databaseUrl: address.url, keysDir: await temporaryFolder(t) };
  const issuer = await startIssuer(t, { beside });
  await registerResource(issuer);
  await registerUser(issuer);
  const grantTypes = ['authorization_code', 'refresh_token', 'client_credentials'];
  const app = await registerApp(issuer, {
    grantTypes,
    scopes: ['openid', 'offline_access', 'orders:read'],
    skipConsent: true,
  });
  const browser = createBrowser(issuer);
  const code = async () => {
    const { verifier, challenge } = newVerifier();
    const { left } = await signIn(browser, authorizePath(app.id, challenge, { scope }));
    return { code: left?.searchParams.get('code') ?? '', verifier };
  };
  const tokensFor = async (given: { code: string; verifier: string }) =>
    redeem(issuer, app, given.code, given.verifier);
  const refresh = (token: string) =>
    post(issuer, '/token', { grant_type: 'refresh_token', refresh_token: token }, { authorization: app.basic });
  const revoke = (token: string) => post(issuer, '/revoke', { token }, { authorization: app.basic });
  const isAlive = async (token: string, at = issuer) =>
    (await post(at, '/introspect', { token }, { authorization: app.basic })).json.active as boolean;
  const feed = async () => (await get(issuer, '/revocations')).json.id.split('-')[0] as string;

  /** The primary is gone; what stands before both leads to the other, now a primary. */
  async function failOver(): Promise<void> {
    await pair.primary.kill();
    address.cut();
    t.match(
      await post(
        issuer,
        '/token',
        { grant_type: 'client_credentials', scope: 'orders:read' },
        { authorization: app.basic },
      ),
      { status: 200 },
      'machines notice nothing',
    );
    await pair.promote();
    address.aim(pair.standby.url);
    await address.mend();
    await eventually(() =>
      issuer.app.refresh().then(
        () => true,
        () => false,
      ),
    );
    t.equal((await get(issuer, '/health/ready')).json.status, 'ok');
  }
  return {
    pair,
    replication: { cut: () => replication.cut() },
    issuer,
    code,
    tokensFor,
    refresh,
    revoke,
    isAlive,
    feed,
    failOver,
  };
}

const generationOf = (token: string) => Number(decodeJwt(token).gen);

test('where the standby had everything, nothing that was answered is lost', async (t) => {
  const { pair, code, tokensFor, refresh, revoke, isAlive, feed, failOver } = await start(t);
  const { json: first } = await tokensFor(await code());
  const { json: second } = await refresh(first.refresh_token);
  const { json: voided } = await tokensFor(await code());
  await revoke(voided.access_token);
  const used = await code();
  await tokensFor(used);
  const open = await code();
  await pair.inStep();
  const before = await feed();
  await failOver();
  t.not(await feed(), before, 'the feed is another, so that readers take everything anew');
  t.notOk(await isAlive(voided.access_token));
  t.ok(await isAlive(second.access_token));
  t.match(await refresh(second.refresh_token), { status: 200 });
  t.match(await tokensFor(open), { status: 200 }, 'a sign-in that was under way goes on');
  t.match(await tokensFor(used), { status: 400 }, 'a code stays used');
});

test('what the standby had not got yet: newer refresh tokens still redeem, and what was revoked is known to who was there', async (t) => {
  const { pair, replication, issuer, code, tokensFor, refresh, revoke, isAlive, failOver } = await start(t);
  const { json: first } = await tokensFor(await code());
  const { json: other } = await tokensFor(await code());
  const { json: kept } = await tokensFor(await code());
  const early = await code();
  await pair.inStep();
  replication.cut();

  const { json: second } = await refresh(first.refresh_token);
  const { json: third } = await refresh(second.refresh_token);
  await revoke(kept.access_token);
  await revoke(other.refresh_token);
  const lost = await code();
  const { json: newcomer } = await tokensFor(lost);
  await tokensFor(early);
  await failOver();

  const [row] = await execute(pair.standby.url, 'SELECT max(generation) AS generation FROM "grant"');
  t.equal(Number(row?.generation), 1, 'the commits are gone');
  const { status, json: fourth } = await refresh(third.refresh_token);
  t.equal(status, 200, 'a generation ahead of the row moves it on');
  t.equal(generationOf(fourth.refresh_token), generationOf(third.refresh_token) + 1);
  t.match(
    await refresh(newcomer.refresh_token),
    { status: 400, json: { error: 'invalid_grant' } },
    'a grant that never was',
  );
  t.notOk(await isAlive(kept.access_token), 'this instance has been told');
  const restarted = await startIssuer(t, { beside: { ...issuer, databaseUrl: pair.standby.url } });
  t.ok(await isAlive(kept.access_token, restarted), 'one that starts now has not: revoke again');
  t.match(await refresh(other.refresh_token), { status: 200 }, 'nor has the database: revoke again');
  t.match(await tokensFor(early), { status: 200 }, 'a code may be used again');
});
