import { generateKeyPair, SignJWT } from 'jose';
import { pino } from 'pino';
import tap, { type Test, test } from 'tap';
import type { ForgedToken } from '../src/protocol/observation.ts';
import { openDatabase } from '../src/store/database.ts';
import { forgetOldRows } from '../src/store/house-keeping.ts';
import { createSuspicions, mostRemembered } from '../src/suspicion/index.ts';
import { createTally } from '../src/suspicion/tally.ts';
import { createTestClock } from './support/clock.ts';
import { get, orders, post, registerClient, registerResource, startIssuer, type TestIssuer } from './support/issuer.ts';
import { kept } from './support/kept.ts';
import { suspicionsOf } from './support/suspicions.ts';

const clock = createTestClock();
const settings = { TRUST_PROXY: 'loopback' };
const issuer = await startIssuer(tap, { clock, settings });
const other = await startIssuer(tap, { clock, settings, beside: issuer });
await registerResource(issuer);
const api = await registerClient(issuer, { serves: [orders.identifier] });
const secondApi = await registerClient(issuer, { serves: [orders.identifier] });
await other.app.refresh();
const suspicions = suspicionsOf(issuer, other);

const { privateKey } = await generateKeyPair('ES256');

/** A token in our name that somebody else has signed. */
function forge(values: { iss?: string; exp?: number; kid?: string; typ?: string } = {}): Promise<string> {
  const { iss = issuer.issuer, exp = clock.now() + 300, kid = 'made-up', typ = 'at+jwt' } = values;
  const claims = { iss, exp, sub: 'user_x', aud: [issuer.issuer, orders.identifier], client_id: 'x', scope: 'openid' };
  const iat = clock.now() - 10;
  return new SignJWT({ ...claims, iat, jti: 'x' }).setProtectedHeader({ alg: 'ES256', typ, kid }).sign(privateKey);
}

const kid = async () => (await get(issuer, '/.well-known/jwks.json')).json.keys[0].kid as string;

async function show(token: string, from: string, times: number, at: TestIssuer = issuer): Promise<void> {
  const headers = { authorization: `Bearer ${token}`, 'x-forwarded-for': from };
  for (let count = 0; count < times; count += 1) await get(at, '/userinfo', headers);
}

async function ask(token: string, client: { basic: string }, times: number, at: TestIssuer = issuer): Promise<void> {
  for (let count = 0; count < times; count += 1) {
    const headers = { authorization: client.basic, 'x-forwarded-for': `198.51.100.${count % 200}` };
    await post(at, '/introspect', { token }, headers);
  }
}

test('a burst of unknown keys at userinfo is told of by its address, whichever instances it goes to', async (t) => {
  const token = await forge();
  await show(token, '198.51.100.7', 20, issuer);
  await show(token, '198.51.100.7', 29, other);
  t.same(await suspicions(), [], 'forty-nine are no burst');
  await show(token, '198.51.100.7', 20, issuer);
  const [told, ...more] = await suspicions();
  t.match(told, {
    actor: 'issuer',
    act: 'suspicious: forged-tokens',
    target: 'address 198.51.100.7',
    address: '198.51.100.7',
    reason: /^[56]\d tokens came in our name/,
  });
  await show(token, '198.51.100.7', 100, other);
  t.same([...more, ...(await suspicions())], [], 'and is told of once');
});

test('an IPv6 customer is one address', async (t) => {
  const token = await forge({ kid: await kid() });
  for (let count = 0; count < 50; count += 1) await show(token, `2001:db8:7:7:${count.toString(16)}::1`, 1);
  t.match(await suspicions(), [{ target: 'address 2001:db8:7:7::/64' }], 'a signature that is wrong is as good a sign');
});

test('a burst at introspection is told of by the client that asks, be it refresh tokens', async (t) => {
  await ask(await forge({ typ: 'rt+jwt' }), api, 30, issuer);
  await ask(await forge(), api, 30, other);
  await ask(await forge(), secondApi, 40, other);
  t.match(await suspicions(), [{ act: 'suspicious: forged-tokens', target: `client ${api.id}` }]);
});

test('tokens that are over are not, whoever signed them: of an expired session, of a key long withdrawn', async (t) => {
  const { json } = await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: api.basic });
  clock.advance(601);
  for (const token of [json.access_token, await forge({ exp: clock.now() }), await forge({ exp: 1_700_000_000 })]) {
    await show(token, '203.0.113.1', 60);
    await ask(token, secondApi, 60);
  }
  t.same(await suspicions(), []);
});

test('nor are tokens of another issuer, of another type, or no tokens at all', async (t) => {
  const { json } = await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: api.basic });
  const mangled = json.access_token.slice(0, -21); // no base64url is as long as what is left of the signature
  for (const token of [
    await forge({ iss: 'https://staging.example' }),
    await forge({ typ: 'JWT' }),
    'garbage',
    mangled,
  ]) {
    await show(token, '203.0.113.2', 60);
    await ask(token, secondApi, 60);
  }
  await ask(json.access_token, secondApi, 60);
  t.same(await suspicions(), []);
});

test('nor what a key has signed that is revoked: its tokens are everywhere', async (t) => {
  const { json } = await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: api.basic });
  await issuer.database.query(`UPDATE signing_key SET revoked_at = to_timestamp($1) WHERE alg = 'ES256'`, [
    clock.now(),
  ]);
  await issuer.database.query(`INSERT INTO change (kind, name) VALUES ('signing_key', 'test')`);
  await issuer.app.refresh();
  await ask(json.access_token, secondApi, 60);
  t.same(await suspicions(), []);
});

test('nor what trickles in', async (t) => {
  for (let minutes = 0; minutes < 60; minutes += 1) {
    await show(await forge(), '203.0.113.3', 7);
    clock.advance(60);
  }
  t.same(await suspicions(), [], 'thirty-five in five minutes');
});

/** The rules alone, on the database of the issuer. */
function alone(t: Test, url = issuer.databaseUrl) {
  const lines: Record<string, unknown>[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  let statements = 0;
  const database = openDatabase(url, { onStatement: () => (statements += 1) });
  t.teardown(() => database.close());
  const rules = createSuspicions({ database, log, accessTokenTtl: 600 });
  return { rules, lines, statements: () => statements };
}

function forged(address: string): ForgedToken {
  return {
    kind: 'forged token',
    at: clock.now(),
    whence: { ip: address, address, network: address },
    clientId: undefined,
  };
}

test('a flood from ever new addresses costs neither memory nor statements', async (t) => {
  const { rules, statements } = alone(t);
  for (let count = 0; count < 100_000; count += 1) {
    void rules.observe(forged(`2001:db8:${(count >> 16).toString(16)}:${(count & 0xffff).toString(16)}`));
    if (count % 1_000 === 0) await rules.settled();
  }
  await rules.settled();
  t.ok(rules.size() <= 2 * mostRemembered, `${rules.size()} keys`);
  t.equal(statements(), 0, 'none has come often enough');
});

test('a flood from one address is one statement for ten, and two at a time', async (t) => {
  const { rules, statements } = alone(t);
  for (let count = 0; count < 10_000; count += 1) void rules.observe(forged('198.51.100.200'));
  await rules.settled();
  t.ok(statements() < 30, `${statements()} statements`);
  await rules.observe(forged('198.51.100.200'));
  const counted = await issuer.database.query<{ count: number }>('SELECT max(count) AS count FROM suspicion');
  t.ok(Number(counted[0]?.count) >= 10_000, 'none is lost by that');
});

test('while the database is away the log is not flooded, and nothing that was counted is lost for good', async (t) => {
  const { rules, lines } = alone(t, 'postgresql://nobody@127.0.0.1:9/nothing');
  for (let count = 0; count < 500; count += 1) await rules.observe(forged('198.51.100.201'));
  t.match(lines, [{ level: 50, msg: 'what may be suspicious could not be written down' }]);
  t.equal(lines.length, 1);
});

test('what was counted and told is gone a day later', async (t) => {
  const count = () => issuer.database.prisma.suspicion.count();
  await forgetOldRows(issuer.database, kept);
  t.ok((await count()) > 0);
  await issuer.database.query(`UPDATE suspicion SET seen_at = now() - interval '25 hours'`);
  await forgetOldRows(issuer.database, kept);
  t.equal(await count(), 0);
});

test('of a tally those are forgotten that came first', async (t) => {
  const tally = createTally(60, 3);
  for (const key of ['a', 'b', 'c', 'a', 'd']) tally.add(key, 0);
  t.equal(tally.size, 3);
  t.equal(tally.take('a'), 2, 'a has come again since');
  t.equal(tally.take('b'), 0);
  t.equal(tally.add('c', 59), 2);
  t.equal(tally.add('c', 60), 1, 'a minute later it begins anew');
});
