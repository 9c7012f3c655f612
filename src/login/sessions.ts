/** Sessions: the cookie `<id>.<secret>`, its lifetimes, and what begins and ends one. */
import { randomBytes } from 'node:crypto';
import { digestSecret, newId } from '../crypto/handle.ts';
import { type Session, sessionIdle } from '../protocol/session.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { User } from '../protocol/user.ts';
import type { Database } from '../store/database.ts';
import { findSession, saveSession } from '../store/session.ts';

/** A session ends after so long in any case. */
export const sessionLife: Seconds = 14 * 24 * 3600;

const shape = /^(session_[a-z2-9]{16})\.([A-Za-z0-9_-]{43})$/;

/** Where somebody signs in from, for the list of their sessions. */
export interface Whereabouts {
  readonly ip: string | null;
  readonly userAgent: string | null;
}

export interface Sessions {
  /** The live session of a cookie. At most one statement. */
  find(cookie: string | undefined, now: NumericDate): Promise<Session | undefined>;
  /**
   * Begins a session and answers its cookie, whose secret is always new: one that somebody planted is worth nothing. The
   * same person signing in again keeps the session's id, so that what they are signed in to stays so.
   */
  begin(
    user: User,
    amr: readonly string[],
    before: Session | undefined,
    from: Whereabouts,
    now: NumericDate,
  ): Promise<string>;
}

export function createSessions(database: Database): Sessions {
  return {
    async find(cookie, now) {
      const [, id, secret] = shape.exec(cookie ?? '') ?? [];
      if (id === undefined || secret === undefined) return undefined;
      return findSession(database, id, digestSecret(secret), now, sessionIdle);
    },

    async begin(user, amr, before, from, now) {
      const id = before?.user.id === user.id ? before.id : newId('session');
      const secret = randomBytes(32).toString('base64url');
      const session = {
        id,
        secretDigest: digestSecret(secret),
        userId: user.id,
        userEpoch: user.grantEpoch,
        authTime: now,
        amr,
        expiresAt: now + sessionLife,
        ip: from.ip,
        userAgent: from.userAgent?.slice(0, 300) ?? null,
      };
      await saveSession(database, session, now);
      return `${id}.${secret}`;
    },
  };
}
