/** What all instances count together of what may be suspicious, and what has been told of it. */
import type { Suspicion } from '../protocol/suspicion.ts';
import type { NumericDate } from '../protocol/time.ts';
import { auditing, auditValues } from './audit-event.ts';
import type { Database } from './database.ts';
import { forgetBefore } from './forget.ts';
import { toDate } from './instant.ts';

/** Adds to a count that begins anew where it began before `since`. Answers what it is then. One statement. */
export async function countTogether(
  database: Database,
  key: string,
  by: number,
  now: NumericDate,
  since: NumericDate,
): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    `INSERT INTO suspicion AS known (key, count, since, seen_at) VALUES ($1, $2, $3, $3)
     ON CONFLICT (key) DO UPDATE SET seen_at = EXCLUDED.seen_at,
       count = CASE WHEN known.since > $4 THEN known.count + EXCLUDED.count ELSE EXCLUDED.count END,
       since = CASE WHEN known.since > $4 THEN known.since ELSE EXCLUDED.since END
     RETURNING count`,
    [key, by, toDate(now), toDate(since)],
  );
  return row?.count ?? by;
}

/** What came of telling. */
export interface Told {
  /** False: it was told since, be it by another instance; nothing is written. */
  readonly now: boolean;
  /** Whether it waits to be sent. */
  readonly queued: boolean;
}

/** So many events may wait to be sent, some five megabytes. Those after them are in the audit alone. */
const mostWaiting = 10_000;

/**
 * Writes a suspicion down where none of that key was since `since`: in the audit and, with `deliver`, among what is to be
 * sent. One statement, so that no crash tells half of it.
 */
export async function tellSuspicion(
  database: Database,
  id: string,
  key: string,
  suspicion: Suspicion,
  now: NumericDate,
  since: NumericDate,
  deliver: boolean,
): Promise<Told> {
  const { rule, target, address, reason } = suspicion;
  const [row] = await database.query<{ told: boolean; queued: boolean }>(
    `WITH told AS (
       INSERT INTO suspicion AS known (key, told_at, seen_at) VALUES ($1, $2, $2)
       ON CONFLICT (key) DO UPDATE SET told_at = EXCLUDED.told_at, seen_at = EXCLUDED.seen_at
         WHERE known.told_at IS NULL OR known.told_at <= $3 RETURNING 1),
     queued AS (
       INSERT INTO event_delivery (id, event, created_at, next_attempt_at) SELECT $4, $5::jsonb, $2, $2 FROM told
        WHERE $6::boolean AND NOT EXISTS (SELECT 1 FROM event_delivery WHERE next_attempt_at IS NOT NULL OFFSET $7) RETURNING 1),
     ${auditing(8, 'told')}
     SELECT EXISTS (SELECT 1 FROM told) AS told, EXISTS (SELECT 1 FROM queued) AS queued`,
    [
      key,
      toDate(now),
      toDate(since),
      id,
      JSON.stringify(suspicion),
      deliver,
      mostWaiting - 1,
      ...auditValues({ actor: 'issuer', address }, { act: `suspicious: ${rule}`, target, reason }),
    ],
  );
  return { now: row?.told ?? false, queued: row?.queued ?? false };
}

/** Forgets what says nothing any more, a few rows at a time. */
export function forgetOldSuspicions(database: Database): Promise<number> {
  return forgetBefore(database, 'suspicion', 'seen_at', "now() - interval '1 day'");
}
