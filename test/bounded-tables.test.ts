import tap, { test } from 'tap';
import type { Database } from '../src/store/database.ts';
import { batchSize } from '../src/store/forget.ts';
import { forgetOldRows } from '../src/store/house-keeping.ts';
import { get, startIssuer } from './support/issuer.ts';
import { kept as retention } from './support/kept.ts';
import { registerWalkers, walkEverywhere } from './support/walks.ts';

/** A million sign-ins a day, of which one in 25,000 is simulated: a walk is two of them. */
const walksPerDay = 20;

/** Days for which a table keeps a row at the most; `revocation` and `interaction` less than an hour. */
const kept: Record<string, number> = {
  change: 1,
  interaction: 1 / 24,
  session: 14,
  grant: 30,
  revocation: 1 / 24,
  logout_delivery: 7,
  sign_in_attempt: 1,
  audit_event: 365,
};
const tables = Object.keys(kept);

const issuer = await startIssuer(tap);
const { database } = issuer;
await walkEverywhere(issuer, await registerWalkers(issuer));
for (const table of tables) {
  await database.query(`CREATE TABLE one_${table} AS TABLE "${table}"`);
  await database.query(`TRUNCATE "${table}"`);
}
const columns = await describeColumns();

interface Column {
  readonly name: string;
  readonly type: string;
}

async function describeColumns(): Promise<Map<string, Column[]>> {
  const rows = await database.query<{ table: string; columns: Column[] }>(
    `SELECT table_name AS table, json_agg(json_build_object('name', quote_ident(column_name), 'type', data_type)) AS columns
       FROM information_schema.columns WHERE table_schema = 'public' AND table_name = ANY ($1) GROUP BY 1`,
    [tables],
  );
  return new Map(rows.map((row) => [row.table, row.columns]));
}

/** How a column of a copy differs from the first: names are new, instants are spread over the day before now. */
function copied({ name, type }: Column, walks: number): string {
  if (type === 'timestamp with time zone') {
    return `${name} - make_interval(secs => (walk - 1) * ${86_400 / walks})`;
  }
  if (name === 'id' || name === 'key') return `${name} || '.' || gen_random_uuid()`;
  if (name === 'digest')
    return `translate(left(encode(sha256(gen_random_uuid()::text::bytea), 'base64'), 22), '+/', '-_')`;
  return name;
}

/** What so many walks leave: the rows of the first one, again and again. */
async function live(walks: number): Promise<void> {
  for (const [table, all] of columns) {
    const given = all.filter(({ name, type }) => !(name === 'id' && type === 'bigint'));
    await database.query(
      `INSERT INTO "${table}" (${given.map(({ name }) => name)})
       SELECT ${given.map((column) => copied(column, walks))} FROM one_${table}, generate_series(1, ${walks}) AS walk`,
    );
  }
}

/** Moves the database's clock on, by moving every row back. */
async function pass(interval: string): Promise<void> {
  for (const [table, all] of columns) {
    const instants = all.filter(({ type }) => type === 'timestamp with time zone');
    const moved = instants.map(({ name }) => `${name} = ${name} - interval '${interval}'`);
    await database.query(`UPDATE "${table}" SET ${moved}`);
  }
}

async function count(of: Database, prefix = ''): Promise<Record<string, number>> {
  const counts = tables.map((table) => `'${table}', (SELECT count(*) FROM "${prefix}${table}")`);
  const [row] = await of.query<{ counts: Record<string, number> }>(`SELECT json_build_object(${counts}) AS counts`);
  return row?.counts ?? {};
}

async function forgetAll(): Promise<void> {
  while (await forgetOldRows(database, retention));
}

test('after 33 days at a million sign-ins a day each table holds what its rows live for, and no more', async (t) => {
  const perWalk = await count(database, 'one_');
  for (const table of tables) t.ok(Number(perWalk[table]) > 0, `a walk leaves rows in ${table}`);
  let fullest = 0;
  for (let day = 1; day <= 33; day += 1) {
    await live(walksPerDay);
    await forgetAll();
    const rows = await count(database);
    for (const [table, days] of Object.entries(kept)) {
      const perDay = Number(perWalk[table]) * walksPerDay;
      const most = perDay * Math.min(day, days + 1);
      if (Number(rows[table]) > most) t.fail(`${rows[table]} rows in ${table} on day ${day}, not ${most}`);
    }
    fullest = Math.max(fullest, Number(rows.revocation));
    await pass('1 day');
  }
  const rows = await count(database);
  t.ok(Number(rows.grant) >= walksPerDay * 29, 'a grant stays while it can be refreshed');
  t.ok(Number(rows.session) >= walksPerDay * 13, 'a session as long as it lives');
  t.equal(rows.audit_event, Number(perWalk.audit_event) * walksPerDay * 33, 'of the audit nothing is missing');
  t.ok(fullest <= (Number(perWalk.revocation) * walksPerDay) / 2, 'of the feed there is never as much as half a day');

  await live(walksPerDay);
  await forgetAll();
  const fresh = await startIssuer(t, { beside: issuer });
  const { json } = await get(fresh, '/revocations');
  t.equal(json.entries.length, (await count(database)).revocation);
  t.ok(json.entries.length <= fullest, 'nor has the feed more than its table');
});

test('what a long outage has left is gone within seconds, without a statement that locks much', async (t) => {
  await live(walksPerDay * 50);
  await pass('400 days');
  const backlog = await count(database);
  t.ok(Number(backlog.grant) > 2 * batchSize, `${backlog.grant} grants and ${backlog.audit_event} events`);
  const one = await startIssuer(t, { beside: issuer });
  const other = await startIssuer(t, { beside: issuer });
  while (Object.values(await count(database)).some((left) => left > 0)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  for (const { log } of [one, other])
    t.same(
      log.filter(({ level }) => Number(level) >= 40),
      [],
    );
});

test('a batch leaves what others hold, and takes no more than it should', async (t) => {
  await live(batchSize);
  await pass('400 days');
  const before = await count(database);
  const client = await database.pool.connect();
  await client.query(`BEGIN; SELECT 1 FROM "grant" ORDER BY expires_at LIMIT 10 FOR UPDATE`);
  t.equal(await forgetOldRows(database, retention), true, 'there is more');
  const after = await count(database);
  for (const table of tables) {
    const gone = Number(before[table]) - Number(after[table]);
    // What the issuer is telling clients of at this moment, it holds too.
    const held = table === 'logout_delivery' ? 20 : 0;
    t.ok(gone <= batchSize && gone >= batchSize - held, `one batch of ${table}: ${gone}`);
  }
  await forgetAll();
  t.equal((await count(database)).grant, 10);
  await client.query('COMMIT');
  client.release();
  t.equal(await forgetOldRows(database, retention), false);
  t.equal((await count(database)).grant, 0);
});
