/** Lets go of rows that are over, a few at a time. Knows which tables there are and nothing of what their rows mean. */

import type { Seconds } from '../protocol/time.ts';
import { forgetOldAuditEvents } from './audit-event.ts';
import { forgetOldChanges } from './change-watcher.ts';
import type { Database } from './database.ts';
import { forgetOldDeliveries } from './delivery.ts';
import { batchSize } from './forget.ts';
import { forgetOldGrants } from './grant.ts';
import { forgetOldInteractions } from './interaction.ts';
import { forgetOldRevocations } from './revocation.ts';
import { forgetOldSessions } from './session.ts';
import { forgetOldFailures } from './sign-in-attempt.ts';
import { forgetOldSuspicions } from './suspicion.ts';

/** How long rows are kept where that is for whoever runs the issuer to say. */
export interface Kept {
  readonly auditRetention: Seconds;
}

/** Each forgets one batch of its table, and answers how many rows that were. */
const tables: Readonly<Record<string, (database: Database, kept: Kept) => Promise<number>>> = {
  change: forgetOldChanges,
  interaction: forgetOldInteractions,
  session: forgetOldSessions,
  grant: forgetOldGrants,
  revocation: forgetOldRevocations,
  logout_delivery: (database) => forgetOldDeliveries(database, 'logout_delivery'),
  event_delivery: (database) => forgetOldDeliveries(database, 'event_delivery'),
  sign_in_attempt: forgetOldFailures,
  suspicion: forgetOldSuspicions,
  audit_event: (database, { auditRetention }) => forgetOldAuditEvents(database, auditRetention),
};

/**
 * Forgets one batch of each table, and tells how many rows that were. True: some table may have more. Instances may all do
 * it at once.
 */
export async function forgetOldRows(
  database: Database,
  kept: Kept,
  onForgotten?: (table: string, rows: number) => void,
): Promise<boolean> {
  let more = false;
  for (const [table, forget] of Object.entries(tables)) {
    const rows = await forget(database, kept);
    onForgotten?.(table, rows);
    more ||= rows === batchSize;
  }
  return more;
}
