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

/** What one failure is counted under. */
export interface FailureKey {
  readonly key: string;
  /** What it failed with, as a number: of an address the account, of an account the network. Null: that is not counted. */
  readonly other: number | null;
}

/** How many different ones are told apart: more than any rule asks for, and a row of half a kilobyte at the most. */
const mostOthers = 100;

/** Since when failures are counted together. */
export interface Since {
  /** From nothing where the last was before that. */
  readonly failures: NumericDate;
  /** What they failed with: from nothing where the first was before that. */
  readonly others: NumericDate;
}

/**
 * Counts one failure under each key; `userId` says at whose account, where there is such a one. Answers with how many others
 * each key has failed. One statement, in one order of locks, the audit's part in it.
 */
export async function noteFailure(
  database: Database,
  keys: readonly FailureKey[],
  userId: string | undefined,
  address: string | null,
  now: NumericDate,
  since: Since,
): Promise<Map<string, number>> {
  const rows = await database.query<{ key: string; others: number }>(
    `WITH ${auditing(7)}
     INSERT INTO sign_in_attempt AS known (key, failures, failed_at, others, others_since)
     SELECT key, 1, $3, array_remove(ARRAY[other], NULL), $3 FROM unnest($1::text[], $2::int[]) AS one (key, other) ORDER BY key
     ON CONFLICT (key) DO UPDATE SET failed_at = EXCLUDED.failed_at,
       failures = CASE WHEN known.failed_at < $4 THEN 1 ELSE known.failures + 1 END,
       others_since = CASE WHEN known.others_since > $5 THEN known.others_since ELSE EXCLUDED.others_since END,
       others = CASE WHEN known.others_since > $5 IS NOT TRUE THEN EXCLUDED.others
                     WHEN EXCLUDED.others <@ known.others OR cardinality(known.others) >= $6 THEN known.others
                     ELSE known.others || EXCLUDED.others END
     RETURNING key, cardinality(others) AS others`,
    [
      keys.map(({ key }) => key),
      keys.map(({ other }) => other),
      toDate(now),
      toDate(since.failures),
      toDate(since.others),
      mostOthers,
      // What was typed is not kept: people type passwords there.
      ...auditValues(
        { actor: 'somebody', address },
        { act: 'sign-in', target: userId === undefined ? null : `user ${userId}`, refused: true },
      ),
    ],
  );
  return new Map(rows.map(({ key, others }) => [key, others]));
}

/** Forgets what says nothing any more, a few rows at a time. */
export function forgetOldFailures(database: Database): Promise<number> {
  return forgetBefore(database, 'sign_in_attempt', 'failed_at', "now() - interval '1 day'");
}
