/** What issuers have told of what looked like an attack. */
import { type AuditEvent, listAuditEvents } from '../../src/store/audit-event.ts';
import type { TestIssuer } from './issuer.ts';

/** Answers the suspicions in the audit that came since it was asked last; what instances are still writing is waited for. */
export function suspicionsOf(...instances: [TestIssuer, ...TestIssuer[]]): () => Promise<AuditEvent[]> {
  let seen = 0;
  return async () => {
    await Promise.all(instances.map(({ app }) => app.suspicions.settled()));
    const events = await listAuditEvents(instances[0].database, { after: seen, limit: 100_000 });
    seen = events.at(-1)?.id ?? seen;
    return events.filter(({ act }) => act.startsWith('suspicious'));
  };
}
