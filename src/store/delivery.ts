/**
 * What has to reach somebody outside, in the columns that every table of such rows has: who attempts it, and how it went.
 * `next_attempt_at` is null once it is over, be it delivered (`delivered_at`) or given up (`failure` alone).
 */
import type { NumericDate } from '../protocol/time.ts';
import type { Database } from './database.ts';
import { forgetBefore } from './forget.ts';
import { toDate } from './instant.ts';

/** The tables of this kind. */
export const deliveryTables = ['logout_delivery', 'event_delivery'] as const;

export type DeliveryTable = (typeof deliveryTables)[number];

export interface DeliveryRow {
  readonly id: string;
  /** The one under way counted. */
  readonly attempts: number;
}

/** Takes rows that are due, each for one caller, and answers `columns` of them. Until then nobody else attempts them. */
export function claimDue<Row extends DeliveryRow>(
  database: Database,
  table: DeliveryTable,
  columns: string,
  now: NumericDate,
  until: NumericDate,
  limit: number,
): Promise<Row[]> {
  return database.query<Row & Record<string, unknown>>(
    `UPDATE ${table} SET attempts = attempts + 1, next_attempt_at = $2
      WHERE id = ANY (ARRAY(SELECT id FROM ${table} WHERE next_attempt_at <= $1
                             ORDER BY next_attempt_at LIMIT $3 FOR UPDATE SKIP LOCKED)) RETURNING ${columns}`,
    [toDate(now), toDate(until), limit],
  );
}

/** How many rows are not over, due or not, by table. */
export async function countAllWaiting(database: Database): Promise<Record<string, number>> {
  const rows = await database.query<{ table: DeliveryTable; count: number }>(
    deliveryTables
      .map(
        (table) => `SELECT '${table}' AS table, count(*)::int AS count FROM ${table} WHERE next_attempt_at IS NOT NULL`,
      )
      .join(' UNION ALL '),
  );
  return Object.fromEntries(rows.map(({ table, count }) => [table, count]));
}

/** Notes that it has arrived. */
export async function noteDelivered(
  database: Database,
  table: DeliveryTable,
  id: string,
  now: NumericDate,
): Promise<void> {
  await database.query(`UPDATE ${table} SET delivered_at = $2, next_attempt_at = NULL, failure = NULL WHERE id = $1`, [
    id,
    toDate(now),
  ]);
}

/** Notes why an attempt failed and when the next is due; null: it is given up. */
export async function noteFailed(
  database: Database,
  table: DeliveryTable,
  id: string,
  failure: string,
  nextAttemptAt: NumericDate | null,
): Promise<void> {
  await database.query(
    `UPDATE ${table} SET failure = $2, next_attempt_at = $3 WHERE id = $1 AND delivered_at IS NULL`,
    [id, failure, nextAttemptAt === null ? null : toDate(nextAttemptAt)],
  );
}

/** Forgets what is a week old, a few at a time: it was delivered or given up long before. */
export function forgetOldDeliveries(database: Database, table: DeliveryTable): Promise<number> {
  return forgetBefore(database, table, 'created_at', "now() - interval '7 days'");
}
