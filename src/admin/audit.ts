import { type AuditEvent, listAuditEvents } from '../store/audit-event.ts';
import type { AdminContext } from './context.ts';

/** Who did what, to whom, from where. */
export interface AuditDocument extends Omit<AuditEvent, 'at'> {
  /** RFC 3339, in UTC. */
  readonly at: string;
}

/** Events in the order of time: those after an id, or the latest where none is given. */
export async function listAudit(
  { database }: AdminContext,
  asked: { readonly after?: number; readonly limit: number },
): Promise<AuditDocument[]> {
  const events = await listAuditEvents(database, asked);
  return events.map(({ at, ...event }) => ({ ...event, at: new Date(at * 1000).toISOString() }));
}
