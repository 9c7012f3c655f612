import { randomBytes } from 'node:crypto';
import tap, { test } from 'tap';
import { fillTables } from '../scripts/bench/volume.ts';
import { endSignIns } from '../src/protocol/user.ts';
import { listAuditEvents } from '../src/store/audit-event.ts';
import { openDatabase } from '../src/store/database.ts';
import { countGrantsRedeemed } from '../src/store/grant.ts';
import { forgetOldRows } from '../src/store/house-keeping.ts';
import { listUsers } from '../src/store/user.ts';
import { createRevoker } from '../src/tokens/revocation.ts';
import { startIssuer } from './support/issuer.ts';
import { kept } from './support/kept.ts';
import { obtainTokens } from './support/people.ts';
import { planOf } from './support/plans.ts';
import { registerWalkers, walkEverywhere, walkFirstParty } from './support/walks.ts';

/** `npm run test:scale` asks for a million. */
const grants = Number(process.env.GRANTS ?? 20_000);

/** What grows with people, apps and time. The rest is a handful of rows, which Postgres reads whole. */
const large = [
  ...['grant', 'session', 'user', 'client', 'revocation', 'change', 'audit_event', 'sign_in_attempt', 'consent'],
  ...['interaction', 'logout_delivery'],
];

/** Of all clients, read once at the start. */
const wholeTable = /FROM client WHERE origins <> /;

const issuer = await startIssuer(tap);
const statements = new Set<string>();
const walkers = await registerWalkers(issuer);

/** An administrator's way to end things, by another way to the database. */
const administrator = openDatabase(issuer.databaseUrl, {
  maxConnections: 1,
  onStatement: (text) => statements.add(text),
});
tap.teardown(() => administrator.close());

test('everything that the issuer does is done once', async (t) => {
  await walkEverywhere(issuer, walkers);
  t.same(await walkFirstParty(issuer, walkers), [200, 200, 204]);
  await forgetOldRows(administrator, kept);

  const now = () => Math.floor(Date.now() / 1000);
  const revoker = createRevoker({ database: administrator, now, longestLife: () => 700 });
  const { userId, sessionId } = await aGrant();
  await revoker.withdrawConsent(userId, walkers.app.id, 'test');
  await revoker.endSession(sessionId, 'test', userId);
  await revoker.revokeToken(
    { jti: randomBytes(9).toString('hex'), exp: now() + 600, clientId: walkers.app.id },
    'test',
  );
  await revoker.changeClient(walkers.app.id, async ({ epoch }) => ({ epoch: epoch + 1 }), 'test');
  await revoker.changeUser(userId, endSignIns, 'test');
  await revoker.deleteUser(userId, 'test');
  await listUsers(administrator, '', 100);
  await listAuditEvents(administrator, { limit: 100 });
  await listAuditEvents(administrator, { after: 5, limit: 100 });

  for (const text of issuer.statements) statements.add(text);
  t.ok(statements.size > 60, `${statements.size} different statements`);
  for (const table of large) {
    t.ok(
      [...statements].some((text) => new RegExp(`\\b${table}\\b`).test(text)),
      `some of them about ${table}`,
    );
  }
});

/** A grant that has not ended, of a session that has not either. */
async function aGrant(): Promise<{ userId: string; sessionId: string }> {
  await obtainTokens(issuer, walkers.app);
  const grant = await issuer.database.prisma.grant.findFirstOrThrow({
    where: { revokedAt: null, sessionId: { not: null } },
    orderBy: { createdAt: 'desc' },
  });
  return { userId: grant.userId, sessionId: String(grant.sessionId) };
}

test(`with ${grants} grants no statement reads a large table from end to end`, async (t) => {
  const { database } = issuer;
  await issuer.app.close();
  await fillTables(database, { grants, clients: Math.ceil(grants / 10) });
  let read = 0;
  for (const text of statements) {
    if (!/^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b/i.test(text) || wholeTable.test(text)) continue;
    const scans = (await planOf(database, text)).filter(({ table }) => large.includes(table));
    read += scans.length;
    const whole = scans.filter(({ node }) => node === 'Seq Scan');
    t.same(whole, [], text.trim().replaceAll(/\s+/g, ' ').slice(0, 200));
  }
  t.ok(read > 60, `${read} readings of large tables were seen`);
});

test('a reading from end to end would have been found', async (t) => {
  const scans = await planOf(issuer.database, 'SELECT 1 FROM "grant" WHERE nonce = $1');
  t.match(scans, [{ node: 'Seq Scan', table: 'grant' }]);
});

test('how many grants a key has signed for is said in seconds, about right', async (t) => {
  const { database } = issuer;
  const [row] = await database.query<{ count: number }>(
    'SELECT count(*)::float8 AS count FROM "grant" WHERE rotated_at IS NOT NULL AND expires_at > now()',
  );
  const now = Math.floor(Date.now() / 1000);
  const started = performance.now();
  const about = await countGrantsRedeemed(database, now - 600, now + 600, now);
  t.ok(performance.now() - started < 5_000);
  t.ok(Math.abs(about / (row?.count ?? 0) - 1) < 0.1, `${about} of ${row?.count}`);
});

test('a refresh changes no indexed column, so that it stays in its page', async (t) => {
  const [row] = await issuer.database.query<{ columns: string[] }>(
    `SELECT array_agg(DISTINCT attname::text) AS columns FROM pg_index JOIN pg_attribute ON attrelid = indexrelid
      WHERE indrelid = '"grant"'::regclass`,
  );
  t.ok(row?.columns.includes('expires_at'));
  for (const column of ['generation', 'rotated_at', 'networks']) t.notOk(row?.columns.includes(column), column);
});
