import type { Session, SessionSummary } from '../protocol/session.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import { auditing, auditValues } from './audit-event.ts';
import type { Transaction } from './change.ts';
import type { Database } from './database.ts';
import { forgetBefore } from './forget.ts';
import { toDate, toNumericDate } from './instant.ts';

/** A session to be kept: the cookie's secret comes as its digest. */
export interface NewSession {
  readonly id: string;
  readonly secretDigest: string;
  readonly userId: string;
  /** The user's `grantEpoch`, so that the session ends with the next act that raises it. */
  readonly userEpoch: number;
  readonly authTime: NumericDate;
  readonly amr: readonly string[];
  readonly expiresAt: NumericDate;
  readonly ip: string | null;
  readonly userAgent: string | null;
}

/** How often, at most, a session's `lastSeenAt` is written. */
const seenEvery: Seconds = 60;

interface SessionRow {
  id: string;
  auth_time: Date;
  amr: string[];
  user_id: string;
  email: string;
  email_verified: boolean;
  name: string | null;
  roles: string[];
  epoch: number;
  grant_epoch: number;
}

/**
 * The live session of a cookie, with its user; undefined where there is none. One statement, which also notes that it
 * was seen. Live: the secret is right, neither lifetime is over, and nothing has ended the user's sessions since.
 */
export async function findSession(
  database: Database,
  id: string,
  secretDigest: string,
  now: NumericDate,
  idle: Seconds,
): Promise<Session | undefined> {
  const [row] = await database.query<SessionRow>(
    `WITH live AS (
       SELECT s.id, s.auth_time, s.amr, s.last_seen_at, u.id AS user_id, u.email, u.email_verified, u.name, u.roles,
              u.epoch, u.grant_epoch
         FROM session s JOIN "user" u ON u.id = s.user_id
        WHERE s.id = $1 AND s.secret_digest = $2 AND s.expires_at > $3 AND s.last_seen_at > $4
          AND s.user_epoch >= u.grant_epoch AND u.disabled_at IS NULL),
     seen AS (UPDATE session SET last_seen_at = $3 FROM live WHERE session.id = live.id AND live.last_seen_at <= $5)
     SELECT * FROM live`,
    [id, secretDigest, toDate(now), toDate(now - idle), toDate(now - seenEvery)],
  );
  return row === undefined ? undefined : fromRow(row);
}

function fromRow(row: SessionRow): Session {
  return {
    id: row.id,
    authTime: toNumericDate(row.auth_time),
    amr: row.amr,
    user: {
      id: row.user_id,
      email: row.email,
      emailVerified: row.email_verified,
      name: row.name,
      roles: row.roles,
      epoch: row.epoch,
      grantEpoch: row.grant_epoch,
      disabledAt: null,
    },
  };
}

/**
 * Keeps a session: a new one, or, where the same person has signed in again, the same with a new secret and
 * authentication time, so that what was signed in by it stays so. One statement, the audit's part in it.
 */
export async function saveSession(database: Database, session: NewSession, now: NumericDate): Promise<void> {
  const who = { actor: `user ${session.userId}`, address: session.ip };
  await database.query(
    `WITH ${auditing(11)}
     INSERT INTO session (id, secret_digest, user_id, user_epoch, auth_time, amr, created_at, last_seen_at, expires_at, ip, user_agent)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10)
     ON CONFLICT (id) DO UPDATE SET secret_digest = EXCLUDED.secret_digest, auth_time = EXCLUDED.auth_time,
       user_epoch = EXCLUDED.user_epoch, amr = EXCLUDED.amr, last_seen_at = EXCLUDED.last_seen_at,
       expires_at = EXCLUDED.expires_at, ip = EXCLUDED.ip, user_agent = EXCLUDED.user_agent
     WHERE session.user_id = EXCLUDED.user_id`,
    [
      session.id,
      session.secretDigest,
      session.userId,
      session.userEpoch,
      toDate(session.authTime),
      [...session.amr],
      toDate(now),
      toDate(session.expiresAt),
      session.ip,
      session.userAgent,
      ...auditValues(who, { act: 'sign-in', target: `session ${session.id}` }),
    ],
  );
}

/** A session that was removed, and the clients that were entered from it. */
export interface RemovedSession {
  readonly userId: string;
  readonly clientIds: readonly string[];
}

/** Removes a session; of that user alone, where one is given. Undefined: no such one, or another has just removed it. */
export async function removeSession(tx: Transaction, id: string, userId?: string): Promise<RemovedSession | undefined> {
  const [row] = await tx.$queryRaw<{ user_id: string; client_ids: string[] }[]>`
    DELETE FROM session WHERE id = ${id} AND (${userId ?? null}::text IS NULL OR user_id = ${userId ?? null})
    RETURNING user_id, client_ids`;
  return row && { userId: row.user_id, clientIds: row.client_ids };
}

/** A person's live sessions, the last seen first. */
export async function listSessions(
  database: Database,
  userId: string,
  now: NumericDate,
  idle: Seconds,
): Promise<SessionSummary[]> {
  const rows = await database.query<{
    id: string;
    created_at: Date;
    last_seen_at: Date;
    ip: string | null;
    user_agent: string | null;
  }>(
    `SELECT s.id, s.created_at, s.last_seen_at, s.ip, s.user_agent
       FROM session s JOIN "user" u ON u.id = s.user_id
      WHERE s.user_id = $1 AND s.expires_at > $2 AND s.last_seen_at > $3 AND s.user_epoch >= u.grant_epoch
      ORDER BY s.last_seen_at DESC LIMIT 100`,
    [userId, toDate(now), toDate(now - idle)],
  );
  return rows.map((row) => ({
    id: row.id,
    createdAt: toNumericDate(row.created_at),
    lastSeenAt: toNumericDate(row.last_seen_at),
    ip: row.ip,
    userAgent: row.user_agent,
  }));
}

/** Forgets sessions that are over, a few at a time. */
export function forgetOldSessions(database: Database): Promise<number> {
  return forgetBefore(database, 'session', 'expires_at');
}
