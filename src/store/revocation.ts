import type { NumericDate } from '../protocol/time.ts';
import { locks, type Transaction, takeLock } from './change.ts';
import type { Database } from './database.ts';
import { toDate, toNumericDate } from './instant.ts';

/** One entry of the denylist: what the digest names is void, or, with an epoch, all of it that has a lower one. */
export interface Revocation {
  readonly id: bigint;
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

/** The entries after an id, in order, that are not over. */
export async function listRevocations(database: Database, after: bigint, now: NumericDate): Promise<Revocation[]> {
  const rows = await database.query<{ id: string; digest: string; epoch_below: number | null; expires_at: Date }>(
    'SELECT id, digest, epoch_below, expires_at FROM revocation WHERE id > $1 AND expires_at > $2 ORDER BY id',
    [String(after), toDate(now)],
  );
  return rows.map((row) => ({
    id: BigInt(row.id),
    digest: row.digest,
    epochBelow: row.epoch_below,
    expiresAt: toNumericDate(row.expires_at),
  }));
}

/** Forgets entries that are over, a few at a time. */
export async function forgetOldRevocations(database: Database): Promise<void> {
  await database.query(`
    DELETE FROM revocation WHERE id IN (
      SELECT id FROM revocation WHERE expires_at < now() ORDER BY expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED)`);
}
