import type { Database } from './database.ts';

/** So many rows go by one statement at the most: it is over in milliseconds, and what it locks is free again. */
export const batchSize = 1_000;

/**
 * Deletes the rows of a table whose `column`, an instant with an index, is before an instant by the database's clock: those
 * longest over first, `batchSize` at the most. Answers how many. Rows that somebody has locked are left for another time.
 */
export async function forgetBefore(
  database: Database,
  table: string,
  column: string,
  instant = 'now()',
): Promise<number> {
  // By their place, so that the plan is the same whatever the planner knows of the table.
  const rows = await database.query(
    `DELETE FROM ${table} WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM ${table} WHERE ${column} < ${instant}
        ORDER BY ${column} LIMIT ${batchSize} FOR UPDATE SKIP LOCKED)) RETURNING 1`,
  );
  return rows.length;
}
