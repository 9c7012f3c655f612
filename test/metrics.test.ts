import tap, { test } from 'tap';
import { createTestClock } from './support/clock.ts';
import { get, post, registerClient, registerResource, startIssuer } from './support/issuer.ts';
import { obtainTokens, registerApp, registerUser } from './support/people.ts';

const clock = createTestClock();
const issuer = await startIssuer(tap, { clock, settings: { ADMIN_PORT: '0' } });
await registerResource(issuer);
const machine = await registerClient(issuer);

async function metrics(): Promise<{ text: string; value(name: string): number | undefined }> {
  const answer = await issuer.app.adminServer?.inject({ url: '/metrics' });
  const text = answer?.payload ?? '';
  const value = (name: string) => {
    const line = text.split('\n').find((one) => one.startsWith(`${name} `));
    return line === undefined ? undefined : Number(line.slice(name.length + 1));
  };
  return { text, value };
}

test('requests are counted by endpoint and status, tokens by grant and algorithm', async (t) => {
  for (let count = 0; count < 3; count += 1) {
    await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: machine.basic });
  }
  await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: 'Basic eDp5' });
  await get(issuer, '/.well-known/jwks.json');
  await get(issuer, '/a/path/that/somebody/made/up');
  await registerUser(issuer);
  await obtainTokens(issuer, await registerApp(issuer));
  const { value, text } = await metrics();
  t.equal(value('keyturn_requests_total{method="POST",path="/token",status="200"}'), 4);
  t.equal(value('keyturn_requests_total{method="POST",path="/token",status="401"}'), 1);
  t.equal(value('keyturn_requests_total{method="GET",path="/.well-known/jwks.json",status="200"}'), 1);
  t.equal(value('keyturn_access_tokens_total{grant_type="client_credentials",alg="ES256"}'), 3);
  t.equal(value('keyturn_access_tokens_total{grant_type="authorization_code",alg="ES256"}'), 1);
  t.notMatch(text, /made/, 'no series is made by whoever asks');
  for (const secret of [machine.id, 'ada@example.org', 'person']) t.notOk(text.includes(secret), 'nobody is named');
});

test('what it observes of itself', async (t) => {
  const before = await metrics();
  t.equal(before.value('keyturn_ready'), 1);
  t.equal(before.value('keyturn_signing_keys{alg="ES256"}'), 2);
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
});

test('metrics are on the admin port alone, and there is none unless it is asked for', async (t) => {
  t.equal((await get(issuer, '/metrics')).status, 404);
  t.equal((await issuer.app.adminServer?.inject({ url: '/token' }))?.statusCode, 404);
  const plain = await startIssuer(t, { clock, beside: issuer });
  t.equal(plain.app.adminServer, undefined);
});
