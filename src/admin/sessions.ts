import { sessionIdle } from '../protocol/session.ts';
import type { NumericDate } from '../protocol/time.ts';
import { listSessions as list } from '../store/session.ts';
import type { AdminContext } from './context.ts';
import { find } from './users.ts';

/** A browser in which a person is signed in. */
export interface SessionDocument {
  readonly sid: string;
  readonly created_at: NumericDate;
  readonly last_seen_at: NumericDate;
  readonly ip: string | null;
  readonly user_agent: string | null;
}

/** Where a person is signed in: a page suffices, as nobody has hundreds of browsers. */
export async function listSessions(context: AdminContext, user: string): Promise<SessionDocument[]> {
  const { id } = await find(context, user);
  const sessions = await list(context.database, id, context.now, sessionIdle);
  return sessions.map((one) => ({
    ...{ sid: one.id, created_at: one.createdAt, last_seen_at: one.lastSeenAt },
    ...{ ip: one.ip, user_agent: one.userAgent },
  }));
}

/** Signs a browser out of all that it is signed in to. Again is no error. */
export async function endSession(
  { revoker }: AdminContext,
  sid: string,
  reason = 'by command',
): Promise<{ sid: string; ended_grants: number }> {
  const { grants } = await revoker.endSession(sid, reason);
  return { sid, ended_grants: grants.length };
}
