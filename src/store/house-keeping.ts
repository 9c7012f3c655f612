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

const tables = [
  forgetOldChanges,
  forgetOldInteractions,
  forgetOldSessions,
  forgetOldGrants,
  forgetOldRevocations,
  (database: Database) => forgetOldDeliveries(database, 'logout_delivery'),
  forgetOldFailures,
  forgetOldAuditEvents,
];

/** Forgets one batch of each table. True: some table may have more. Instances may all do it at once. */
export async function forgetOldRows(database: Database): Promise<boolean> {
  let more = false;
  for (const forget of tables) more = (await forget(database)) === batchSize || more;
  return more;
}
