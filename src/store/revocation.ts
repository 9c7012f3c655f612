import type { NumericDate } from '../protocol/time.ts';
import { locks, type Transaction, takeLock } from './change.ts';
import type { Database } from './database.ts';
import { toDate } from './instant.ts';

/** One entry of the denylist: what the digest names is void, or, with an epoch, all of it that has a lower one. */
export interface Revocation {
  /** Exact: ids never come near 2^53. */
  readonly id: number;
  readonly digest: string;
  readonly epochBelow: number | null;
  /** From when on nothing that it concerns can be alive. */
  readonly expiresAt: NumericDate;
}

export type NewRevocation = Omit<Revocation, 'id'> & { readonly reason: string };

/**
 * Appends to the denylist, within a transaction that logs the change. The change log's lock is taken first and held to
 * the commit, so that ids become visible in ascending order here too.
 */
export async function appendRevocations(tx: Transaction, rows: readonly NewRevocation[]): Promise<void> {
  await takeLock(tx, locks.changeLog);
  await tx.revocation.createMany({ data: rows.map((row) => ({ ...row, expiresAt: toDate(row.expiresAt) })) });
}

/** Rows that are read at once, so that a long list never holds up the process for long. */
const pageSize = 5_000;

/** The entries after an id (0: all), in order. Some may be over: who needs only the highest id needs those as well. */
export async function listRevocations(database: Database, after: number): Promise<Revocation[]> {
  const found: Revocation[] = [];
  for (;;) {
    const page = await database.query<{ id: string; digest: string; epoch_below: number | null; expires_at: number }>(
      `SELECT id, digest, epoch_below, ceil(extract(epoch FROM expires_at))::float8 AS expires_at
         FROM revocation WHERE id > $1 ORDER BY id LIMIT ${pageSize}`,
      [String(found.at(-1)?.id ?? after)],
    );
    for (const { id, digest, epoch_below, expires_at } of page) {
      found.push({ id: Number(id), digest, epochBelow: epoch_below, expiresAt: expires_at });
    }
    if (page.length < pageSize) return found;
  }
}

/** Forgets entries that are over, a few at a time. */
export async function forgetOldRevocations(database: Database): Promise<void> {
  await database.query(`
    DELETE FROM revocation WHERE id IN (
      SELECT id FROM revocation WHERE expires_at < now() ORDER BY expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED)`);
}
