import type { NumericDate } from '../protocol/time.ts';
import { auditing, auditValues } from './audit-event.ts';
import type { Database } from './database.ts';
import { forgetBefore } from './forget.ts';
import { toDate } from './instant.ts';

/** How many sign-ins that have something in common have failed, one after the other. */
export interface Failures {
  /** A digest of what they have in common. */
  readonly key: string;
  readonly failures: number;
  /** When the last one was. */
  readonly failedAt: NumericDate;
}

/**
 * Counts one failure under each key, from nothing where the last was before `since`; `userId` says at whose account, where
 * there is such a one. One statement, in one order of locks, the audit's part in it.
 */
export async function noteFailure(
  database: Database,
  keys: readonly string[],
  userId: string | undefined,
  address: string | null,
  now: NumericDate,
  since: NumericDate,
): Promise<void> {
  await database.query(
    `WITH ${auditing(4)}
     INSERT INTO sign_in_attempt AS known (key, failures, failed_at)
     SELECT key, 1, $2 FROM unnest($1::text[]) AS key ORDER BY key
     ON CONFLICT (key) DO UPDATE SET failed_at = EXCLUDED.failed_at,
       failures = CASE WHEN known.failed_at < $3 THEN 1 ELSE known.failures + 1 END`,
    [
      [...keys],
      toDate(now),
      toDate(since),
      // What was typed is not kept: people type passwords there.
      ...auditValues(
        { actor: 'somebody', address },
        { act: 'sign-in', target: userId === undefined ? null : `user ${userId}`, refused: true },
      ),
    ],
  );
}

/** Forgets what says nothing any more, a few rows at a time. */
export function forgetOldFailures(database: Database): Promise<number> {
  return forgetBefore(database, 'sign_in_attempt', 'failed_at', "now() - interval '1 day'");
}
