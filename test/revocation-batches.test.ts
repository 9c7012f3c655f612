import { setTimeout as delay } from 'node:timers/promises';
import { decodeJwt } from 'jose';
import tap, { test } from 'tap';
import { createRevoker } from '../src/tokens/revocation.ts';
import { createBrowser } from './support/browser.ts';
import { get, post, registerClient, registerResource, startIssuer } from './support/issuer.ts';
import { obtainTokens, registerApp, registerUser } from './support/people.ts';

const issuer = await startIssuer(tap);
await registerResource(issuer);
const { database } = issuer;
const now = () => Math.floor(Date.now() / 1000);
const acts = { database, now, longestLife: () => 700 };

/** What one transaction or statement of a revocation sends; the rest is what instances do by themselves. */
const writing = /^(BEGIN|COMMIT)|pg_advisory|revocation WHERE digest|INTO revocation|UPDATE "grant"|WITH changed/;

async function tokensOf({ basic }: { basic: string }, count: number): Promise<string[]> {
  const one = () => post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: basic });
  const answers = await Promise.all(Array.from({ length: count }, one));
  return answers.map(({ json }) => json.access_token);
}

const revoke = (token: string, { basic }: { basic: string }) =>
  post(issuer, '/revoke', { token }, { authorization: basic });

test('fifteen hundred revocations at once are all answered with 200, by few statements', async (t) => {
  const clients = await Promise.all([0, 1, 2].map(() => registerClient(issuer)));
  const given = await Promise.all(
    clients.map(async (client) => (await tokensOf(client, 500)).map((token) => ({ token, client }))),
  );
  const all = given.flat();
  issuer.statements.length = 0;
  const answers = await Promise.all(all.map(({ token, client }) => revoke(token, client)));
  t.same([...new Set(answers.map(({ status }) => status))], [200]);
  const sent = issuer.statements.filter((text) => writing.test(text.trim())).length;
  t.ok(sent < 150, `${sent} statements for 1,500 revocations`);
  t.comment(`${sent} statements`);

  const events = await database.query<{ actor: string; target: string; reason: string }>(
    `SELECT actor, target, reason FROM audit_event WHERE act = 'token revoked'`,
  );
  const noted = new Map(events.map(({ actor, target, reason }) => [target, `${actor}: ${reason}`]));
  t.equal(events.length, 1500, 'each is in the audit, once');
  const wrong = all.filter(
    ({ token, client }) => noted.get(`token ${decodeJwt(token).jti}`) !== `client ${client.id}: revoked by its client`,
  );
  t.same(wrong, [], 'by who has asked for it');
  const [count] = await database.query<{ of: number }>(
    `SELECT count(*)::int AS of FROM revocation WHERE client_id = '${clients[0]?.id}'`,
  );
  t.equal(count?.of, 500, 'and counts for who has asked for it');
  await issuer.app.refresh(); // the feed follows within a second
  t.equal((await get(issuer, '/revocations')).json.entries.length, 1500);
  const states = await Promise.all(
    all.map(({ token, client }) => post(issuer, '/introspect', { token }, { authorization: client.basic })),
  );
  t.notOk(
    states.some(({ json }) => json.active),
    'all are in force',
  );
});

test('of a crowd that would pass the cap exactly those that fit get in, also by two instances', async (t) => {
  const client = await registerClient(issuer);
  await database.query(
    `INSERT INTO revocation (digest, expires_at, reason, client_id)
     SELECT lpad(n::text, 22, 'A'), to_timestamp($2::float8 + 100 + n), 'test', $1 FROM generate_series(1, 940) AS n`,
    [client.id, now()],
  );
  const tokens = await tokensOf(client, 150);
  const other = createRevoker(acts).by({ actor: `client ${client.id}`, address: null });
  const asked = tokens.map(async (token, at) => {
    if (at % 3 > 0) return (await revoke(token, client)).status;
    const revoked = other.revokeToken({ jti: `other ${at}`, exp: now() + 600, clientId: client.id }, 'test');
    return revoked.then(
      () => 200,
      ({ status, retryAfter }) => (status === 429 && retryAfter > 90 ? 429 : 500),
    );
  });
  const statuses = await Promise.all(asked);
  t.equal(statuses.filter((status) => status === 200).length, 60);
  t.equal(statuses.filter((status) => status === 429).length, 90);
  const bystander = await registerClient(issuer);
  const [[theirs = ''], [more = '']] = [await tokensOf(client, 1), await tokensOf(bystander, 1)];
  const together = await Promise.all([revoke(theirs, client), revoke(more, bystander)]);
  t.match(together, [{ status: 429, headers: { 'retry-after': /^\d+$/ } }, { status: 200 }]);
});

test('what fails fails alone, and what is asked for twice is done once', async (t) => {
  const revoker = createRevoker(acts);
  const one = (jti: string) => revoker.revokeToken({ jti, exp: now() + 600, clientId: undefined }, 'test');
  // Postgres stores no NUL in a text, so that the statement which all share fails.
  const jtis = ['first', 'a\0b', ...Array.from({ length: 40 }, (_, at) => `jti ${at}`), 'first'];
  const outcomes = await Promise.allSettled(jtis.map(one));
  t.same(
    outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : 'failed')),
    [true, 'failed', ...Array.from({ length: 40 }, () => true), false],
  );
  const [row] = await database.query<{ of: number }>(
    `SELECT count(*)::int AS of FROM audit_event WHERE target = 'token first'`,
  );
  t.equal(row?.of, 1);
});

test('grants end together, and one whose row somebody holds keeps nobody waiting', async (t) => {
  await registerUser(issuer);
  const app = await registerApp(issuer, { grantTypes: ['authorization_code', 'refresh_token'], skipConsent: true });
  const browser = createBrowser(issuer);
  const refreshTokens: string[] = [];
  while (refreshTokens.length < 6)
    refreshTokens.push((await obtainTokens(issuer, app, {}, browser)).json.refresh_token);
  const gids = refreshTokens.map((token) => String(decodeJwt(token).gid));
  const [locked = ''] = gids;

  const holder = await database.pool.connect();
  await holder.query('BEGIN');
  await holder.query('SELECT 1 FROM "grant" WHERE id = $1 FOR UPDATE', [locked]);
  issuer.statements.length = 0;
  const asked = refreshTokens.map((token) => revoke(token, app));
  const others = await Promise.all(asked.slice(1));
  t.same(
    others.map(({ status }) => status),
    [200, 200, 200, 200, 200],
  );
  const inTransaction = issuer.statements.filter((text) => writing.test(text.trim())).length;
  t.ok(inTransaction < 16, `${inTransaction} statements for five`);
  t.equal(await Promise.race([asked[0], delay(20, 'waits')]), 'waits');
  await holder.query('COMMIT');
  holder.release();
  t.equal((await asked[0])?.status, 200);
  const revoker = createRevoker(acts);
  t.same(
    await Promise.all([...gids, 'no such'].map((gid) => revoker.endGrant(gid, 'again'))),
    gids.map(() => false).concat(false),
  );
  const rows = await database.query<{ target: string; actor: string }>(
    `SELECT target, actor FROM audit_event WHERE act = 'grant ended' ORDER BY target`,
  );
  t.same(
    rows,
    gids.sort().map((gid) => ({ target: `grant ${gid}`, actor: `client ${app.id}` })),
  );
});

test('while the database is away all are told so at once, and none is lost from sight', async (t) => {
  const client = await registerClient(issuer);
  const tokens = await tokensOf(client, 300);
  await database.query('ALTER TABLE revocation RENAME TO elsewhere');
  const failed = await Promise.all(tokens.slice(0, 20).map((token) => revoke(token, client)));
  t.same([...new Set(failed.map(({ status }) => status))], [500]);
  await database.query('ALTER TABLE elsewhere RENAME TO revocation');
  const holder = await database.pool.connect();
  await holder.query('BEGIN; LOCK TABLE revocation');
  const began = performance.now();
  const refused = await Promise.all(tokens.map((token) => revoke(token, client)));
  t.same([...new Set(refused.map(({ status }) => status))], [503]);
  t.ok(performance.now() - began < 6_000, 'not one transaction after the other');
  await holder.query('ROLLBACK');
  holder.release();
  const done = await Promise.all(tokens.map((token) => revoke(token, client)));
  t.same([...new Set(done.map(({ status }) => status))], [200]);
});
