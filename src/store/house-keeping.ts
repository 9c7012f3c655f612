/** Lets go of rows that are over, a few at a time. Knows which tables there are and nothing of what their rows mean. */
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

const tables = {
  change: forgetOldChanges,
  interaction: forgetOldInteractions,
  session: forgetOldSessions,
  grant: forgetOldGrants,
  revocation: forgetOldRevocations,
  logout_delivery: (database: Database) => forgetOldDeliveries(database, 'logout_delivery'),
  event_delivery: (database: Database) => forgetOldDeliveries(database, 'event_delivery'),
  sign_in_attempt: forgetOldFailures,
  suspicion: forgetOldSuspicions,
  audit_event: forgetOldAuditEvents,
};

/**
 * Forgets one batch of each table, and tells how many rows that were. True: some table may have more. Instances may all do
 * it at once.
 */
export async function forgetOldRows(
  database: Database,
  onForgotten?: (table: string, rows: number) => void,
): Promise<boolean> {
  let more = false;
  for (const [table, forget] of Object.entries(tables)) {
    const rows = await forget(database);
    onForgotten?.(table, rows);
    more ||= rows === batchSize;
  }
  return more;
}
