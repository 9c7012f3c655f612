import type { NumericDate } from '../protocol/time.ts';
import { locks, type Transaction, takeLock } from './change.ts';
import type { Database } from './database.ts';
import { forgetBefore } from './forget.ts';
import { toDate, toNumericDate } from './instant.ts';

/** One entry of the denylist: what the digest names is void, or, with an epoch, all of it that has a lower one. */
export interface Revocation {
  /** Exact: ids never come near 2^53. */
  readonly id: number;
  readonly digest: string;
  readonly epochBelow: number | null;
  /** From when on nothing that it concerns can be alive. */
  readonly expiresAt: NumericDate;
}

export interface WrittenRevocation extends Revocation {
  /** When it was, by the database's clock: seconds since 1970, with fractions. */
  readonly createdAt: number;
}

export interface NewRevocation extends Omit<Revocation, 'id'> {
  readonly reason: string;
  /** The client whose single token it voids; undefined for all else. */
  readonly clientId?: string | undefined;
}

/**
 * Appends to the denylist, within a transaction that logs the change. The change log's lock is taken first and held to
 * the commit, so that ids become visible in ascending order here too.
 */
export async function appendRevocations(tx: Transaction, rows: readonly NewRevocation[]): Promise<void> {
  await takeLock(tx, locks.changeLog);
  const values = rows.map((row) => ({ ...row, expiresAt: toDate(row.expiresAt) }));
  await tx.$executeRaw`
    INSERT INTO revocation (digest, epoch_below, expires_at, reason, client_id)
    SELECT digest, "epochBelow", "expiresAt", reason, "clientId"
      FROM json_to_recordset(${JSON.stringify(values)}::json)
        AS row (digest text, "epochBelow" int, "expiresAt" timestamptz, reason text, "clientId" text)`;
}

/** What the denylist holds beside single tokens that are to be added to it. */
export interface TokenRevocations {
  /** Those of the digests that are there already. */
  readonly there: Set<string>;
  /** Of each client that was asked of: how many of its own are there and not over, and when the first of them is. */
  readonly clients: Map<string | undefined, { live: number; readonly nextOver: NumericDate }>;
}

/** Reads that, under the lock by which alone entries are appended, so that it stays so until the transaction is over. */
export async function readTokenRevocations(
  tx: Transaction,
  digests: readonly string[],
  clientIds: readonly string[],
  now: NumericDate,
): Promise<TokenRevocations> {
  await takeLock(tx, locks.changeLog);
  const rows = await tx.$queryRaw<{ digest: string | null; client_id: string; live: number; next_over: Date }[]>`
    SELECT digest, NULL AS client_id, NULL AS live, NULL AS next_over FROM revocation WHERE digest = ANY (${digests})
    UNION ALL
    SELECT NULL, client_id, count(*)::int, min(expires_at)
      FROM revocation WHERE client_id = ANY (${clientIds}) AND expires_at > ${toDate(now)} GROUP BY client_id`;
  const there = new Set<string>();
  const clients: TokenRevocations['clients'] = new Map(clientIds.map((id) => [id, { live: 0, nextOver: now }]));
  for (const { digest, client_id, live, next_over } of rows) {
    if (digest === null) clients.set(client_id, { live, nextOver: toNumericDate(next_over) });
    else there.add(digest);
  }
  return { there, clients };
}

interface RevocationRow {
  id: string;
  digest: string;
  epoch_below: number | null;
  expires_at: number;
  created_at: number;
}

/** Rows that are read at once, so that a long list never holds up the process for long. */
const pageSize = 5_000;

/** The entries after an id (0: all), in order. Some may be over: who needs only the highest id needs those as well. */
export async function listRevocations(database: Database, after: number): Promise<WrittenRevocation[]> {
  const found: WrittenRevocation[] = [];
  for (;;) {
    const page = await database.query<RevocationRow>(
      `SELECT id, digest, epoch_below, ceil(extract(epoch FROM expires_at))::float8 AS expires_at,
              extract(epoch FROM created_at)::float8 AS created_at
         FROM revocation WHERE id > $1 ORDER BY id LIMIT ${pageSize}`,
      [String(found.at(-1)?.id ?? after)],
    );
    for (const { id, digest, epoch_below, expires_at, created_at } of page) {
      found.push({ id: Number(id), digest, epochBelow: epoch_below, expiresAt: expires_at, createdAt: created_at });
    }
    if (page.length < pageSize) return found;
  }
}

/** Forgets entries that are over, a few at a time. */
export function forgetOldRevocations(database: Database): Promise<number> {
  return forgetBefore(database, 'revocation', 'expires_at');
}
