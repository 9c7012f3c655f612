import tap, { test } from 'tap';
import { createRevoker } from '../src/tokens/revocation.ts';
import { createBrowser } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { get, post, registerClient, registerResource, startIssuer } from './support/issuer.ts';
import {
  authorizePath,
  newVerifier,
  obtainTokens,
  redeem,
  redirectUri,
  registerApp,
  registerUser,
  signIn,
} from './support/people.ts';
import { eventually } from './support/process.ts';

const clock = createTestClock();
const issuer = await startIssuer(tap, { clock, settings: { ADMIN_PORT: '0' } });
await registerResource(issuer);
const machine = await registerClient(issuer);
const user = await registerUser(issuer);
const app = await registerApp(issuer, { grantTypes: ['authorization_code', 'refresh_token'] });

async function metrics(of = issuer): Promise<{ text: string; value(name: string): number | undefined }> {
  const answer = await of.app.adminServer?.inject({ url: '/metrics' });
  const text = answer?.payload ?? '';
  const value = (name: string) => {
    const line = text.split('\n').find((one) => one.startsWith(`${name} `));
    return line === undefined ? undefined : Number(line.slice(name.length + 1));
  };
  return { text, value };
}

/** By how much each series rises while the work is done. */
async function rises(names: readonly string[], work: () => Promise<unknown>): Promise<number[]> {
  const before = await metrics();
  await work();
  const after = await metrics();
  return names.map((name) => (after.value(name) ?? 0) - (before.value(name) ?? 0));
}

test('requests are counted by endpoint, status and outcome, tokens by grant and algorithm', async (t) => {
  const tokens = 'keyturn_requests_total{method="POST",path="/token"';
  const series = [
    `${tokens},status="200",outcome="ok"}`,
    `${tokens},status="401",outcome="invalid_client"}`,
    `${tokens},status="400",outcome="invalid_grant"}`,
    `${tokens},status="400",outcome="unsupported_grant_type"}`,
    'keyturn_requests_total{method="GET",path="/.well-known/jwks.json",status="200",outcome="ok"}',
    'keyturn_requests_total{method="GET",path="/userinfo",status="401",outcome="refused"}',
    'keyturn_request_duration_seconds_count{method="POST",path="/token"}',
    'keyturn_request_duration_seconds_bucket{le="+Inf",method="POST",path="/token"}',
    'keyturn_access_tokens_total{grant_type="client_credentials",alg="ES256"}',
    'keyturn_access_tokens_total{grant_type="authorization_code",alg="ES256"}',
  ];
  const { basic: authorization } = machine;
  const risen = await rises(series, async () => {
    for (let count = 0; count < 3; count += 1) {
      await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization });
    }
    await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: 'Basic eDp5' });
    await redeem(issuer, app, 'no-such-code', newVerifier().verifier);
    await post(issuer, '/token', { grant_type: 'somebody-made-that-up' }, { authorization });
    await get(issuer, '/.well-known/jwks.json');
    await get(issuer, '/userinfo');
    await get(issuer, '/a/path/that/somebody/made/up');
    await obtainTokens(issuer, app);
  });
  t.same(risen, [4, 1, 1, 1, 1, 1, 7, 7, 3, 1]);
  const { text } = await metrics();
  t.notMatch(text, /made/, 'no series is made by whoever asks');
  for (const secret of [machine.id, app.id, user.id, user.email, '127.0.0.1']) {
    t.notOk(text.includes(secret), 'nobody is named');
  }
});

test('an error that goes out by a redirect is an outcome too', async (t) => {
  const authorize = 'keyturn_requests_total{method="GET",path="/authorize",status="303"';
  const denied = 'keyturn_requests_total{method="POST",path="/consent",status="303",outcome="access_denied"}';
  const series = [`${authorize},outcome="login_required"}`, `${authorize},outcome="invalid_scope"}`, denied];
  const risen = await rises(series, async () => {
    const { challenge } = newVerifier();
    await get(issuer, authorizePath(app.id, challenge, { prompt: 'none' }));
    await get(issuer, authorizePath(app.id, challenge, { scope: 'unheard-of' }));
    const other = await registerApp(issuer);
    const browser = createBrowser(issuer);
    await browser.open(authorizePath(other.id, challenge));
    await browser.submit({ email: user.email, password: 'correct horse battery staple' });
    const { left } = await browser.submit({ decision: 'deny' });
    t.equal(left?.origin, new URL(redirectUri).origin);
  });
  t.same(risen, [1, 1, 1]);
});

test('passwords by what came of them', async (t) => {
  const series = ['ok', 'wrong', 'limited'].map((outcome) => `keyturn_sign_ins_total{outcome="${outcome}"}`);
  const risen = await rises(series, async () => {
    const email = 'grace@example.org';
    await registerUser(issuer, { id: 'grace', email });
    const attempt = (password?: string) => {
      const path = authorizePath(app.id, newVerifier().challenge);
      return signIn(createBrowser(issuer), path, { email, ...(password && { password }) });
    };
    await attempt();
    for (let count = 0; count < 7; count += 1) await attempt('wrong');
  });
  t.same(risen, [1, 6, 1]);
});

test('a code or a refresh token that comes twice is counted', async (t) => {
  const series = ['code', 'refresh_token'].map((token) => `keyturn_reuse_total{token="${token}"}`);
  t.same(series.map((await metrics()).value), [0, 0], 'they begin at 0, so that the first shows as a rise');
  const risen = await rises(series, async () => {
    const { code, verifier } = await obtainTokens(issuer, app);
    await redeem(issuer, app, code, verifier);
    const { json } = await obtainTokens(issuer, app);
    const refresh = (refresh_token: string) =>
      post(issuer, '/token', { grant_type: 'refresh_token', refresh_token }, { authorization: app.basic });
    const second = await refresh(json.refresh_token);
    await refresh(second.json.refresh_token);
    t.equal((await refresh(json.refresh_token)).status, 400);
  });
  t.same(risen, [1, 1]);
});

test('how long revocations of others took to be in force here', async (t) => {
  const here = await startIssuer(t, { settings: { ADMIN_PORT: '0' } });
  const now = () => Math.floor(Date.now() / 1000);
  const elsewhere = createRevoker({ database: here.database, now, longestLife: () => 600 });
  const names = ['_bucket{le="5"}', '_bucket{le="+Inf"}', '_count'].map(
    (end) => `keyturn_revocation_lag_seconds${end}`,
  );
  const feed = async () => (await metrics(here)).value('keyturn_revocation_feed_bytes') ?? 0;
  t.equal(await feed(), 0);
  await elsewhere.revokeToken({ jti: 'of-somebody', exp: undefined, clientId: undefined }, 'test');
  await eventually(async () => (await metrics(here)).value(names[2] ?? '') === 1);
  t.same(names.map((await metrics(here)).value), [1, 1, 1]);
  t.ok((await feed()) > 30, 'an entry is some 38 bytes');
});

test('what it observes of itself', async (t) => {
  const before = await metrics();
  t.equal(before.value('keyturn_build_info{version="test"}'), 1);
  t.equal(before.value('keyturn_ready'), 1);
  t.equal(before.value('keyturn_signing_keys{alg="ES256"}'), 2);
  t.equal(before.value('keyturn_deliveries_waiting{table="logout_delivery"}'), 0);
  const left = before.value('keyturn_next_phase_seconds{alg="ES256"}') ?? 0;
  const age = before.value('keyturn_signing_key_age_seconds{alg="RS256"}') ?? -1;
  t.ok(left > 0 && age >= 0);
  clock.advance(60);
  const after = await metrics();
  t.equal(after.value('keyturn_next_phase_seconds{alg="ES256"}'), left - 60);
  t.equal(after.value('keyturn_signing_key_age_seconds{alg="RS256"}'), age + 60);
  t.ok((after.value('keyturn_database_read_age_seconds') ?? 0) >= 60, 'how old what it knows is');
  for (const name of ['database_connections', 'revocations', 'revocation_readers', 'passwords_hashing']) {
    t.ok((after.value(`keyturn_${name}`) ?? -1) >= 0, name);
  }
  t.ok((after.value('nodejs_eventloop_lag_p99_seconds') ?? -1) >= 0);
  t.ok(Math.abs(after.value('keyturn_clock_offset_seconds') ?? 100) < 5);
  await eventually(async () => ((await metrics()).value('keyturn_house_keeping_timestamp_seconds') ?? 0) > 0);
  t.equal((await metrics()).value('keyturn_rows_forgotten_total{table="grant"}'), 0);
});

test('metrics are on the admin port alone, and there is none unless it is asked for', async (t) => {
  t.equal((await get(issuer, '/metrics')).status, 404);
  t.equal((await issuer.app.adminServer?.inject({ url: '/token' }))?.statusCode, 404);
  const plain = await startIssuer(t, { clock, beside: issuer });
  t.equal(plain.app.adminServer, undefined);
});
