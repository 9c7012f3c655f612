import type { Grant, RedeemedGrant } from '../protocol/grant.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { Transaction } from './change.ts';
import type { Database } from './database.ts';
import { forgetBefore } from './forget.ts';
import { toDate, toNumericDate } from './instant.ts';

/** A grant at generation 0, with what its code is bound to. */
export interface NewGrant extends Grant {
  readonly codeDigest: string;
  readonly codeChallenge: string | null;
  readonly redirectUri: string;
  /** Until when the code can be redeemed. */
  readonly codeExpiresAt: NumericDate;
}

/**
 * Makes a grant whose code is still to be redeemed, and notes in its session that the client is to be told when that
 * ends. False, and nothing written, where the session has ended meanwhile: of this and a sign-out, whichever comes second
 * sees the other. One statement.
 */
export function addGrant(database: Database, grant: NewGrant, now: NumericDate): Promise<boolean> {
  return insert(database, grant, { ...grant, generation: 0, expiresAt: grant.codeExpiresAt }, now);
}

/** Makes a grant that needs no code, at generation 1: of a sign-in that is answered at once. One statement. */
export async function addRedeemedGrant(
  database: Database,
  grant: Grant,
  now: NumericDate,
  expiresAt: NumericDate,
): Promise<void> {
  const noCode = { codeDigest: null, codeChallenge: null, redirectUri: null };
  await insert(database, grant, { ...noCode, generation: 1, expiresAt }, now);
}

interface Beginning {
  readonly generation: number;
  readonly codeDigest: string | null;
  readonly codeChallenge: string | null;
  readonly redirectUri: string | null;
  readonly expiresAt: NumericDate;
}

async function insert(database: Database, grant: Grant, beginning: Beginning, now: NumericDate): Promise<boolean> {
  const rows = await database.query(
    `WITH entered AS (
       UPDATE session SET client_ids = CASE WHEN $3 = ANY (client_ids) THEN client_ids ELSE client_ids || $3 END
        WHERE id = $5 RETURNING id)
     INSERT INTO "grant" (id, user_id, client_id, session_id, sid, scope, resources, auth_time, amr, user_epoch,
                          client_epoch, nonce, code_digest, code_challenge, redirect_uri, created_at, expires_at,
                          generation, rotated_at)
     SELECT $1, $2, $3::text, $4, $5::text, $6::text[], $7::text[], $8::timestamptz, $9::text[], $10::int, $11::int,
            $12, $13, $14, $15, $16::timestamptz, $17::timestamptz, $18::int, CASE WHEN $18 > 0 THEN now() END
      WHERE $5 IS NULL OR EXISTS (SELECT 1 FROM entered)
     RETURNING 1`,
    [
      grant.id,
      grant.userId,
      grant.clientId,
      grant.sessionId,
      grant.sid,
      [...grant.scope],
      [...grant.resources],
      toDate(grant.authTime),
      [...grant.amr],
      grant.userEpoch,
      grant.clientEpoch,
      grant.nonce,
      beginning.codeDigest,
      beginning.codeChallenge,
      beginning.redirectUri,
      toDate(now),
      toDate(beginning.expiresAt),
      beginning.generation,
    ],
  );
  return rows.length > 0;
}

/**
 * By name, as everywhere here: a statement that is prepared fails for good when a later version adds a column to what
 * it answers.
 */
export const redeemedColumns = `g.id, g.user_id, g.client_id, g.session_id, g.sid, g.scope, g.resources, g.auth_time, g.amr,
  g.user_epoch, g.client_epoch, g.nonce, g.generation, g.expires_at, u.epoch, u.roles`;

/** What a client shows with a code. */
export interface CodeProof {
  readonly grantId: string;
  readonly codeDigest: string;
  readonly clientId: string;
  readonly redirectUri: string | undefined;
  /** The S256 of the verifier; undefined where none was sent. */
  readonly codeChallenge: string | undefined;
}

/**
 * What makes a code its client's: everything but whether it is still good. A challenge without a verifier fails, and
 * so does a verifier without a challenge (RFC 9700 §4.8.2).
 */
const proven = `g.id = $1 AND g.code_digest = $2 AND g.client_id = $3 AND g.redirect_uri IS NOT DISTINCT FROM $4
                AND g.code_challenge IS NOT DISTINCT FROM $5`;

function proofValues(proof: CodeProof): unknown[] {
  const { grantId, codeDigest, clientId, redirectUri, codeChallenge } = proof;
  return [grantId, codeDigest, clientId, redirectUri ?? null, codeChallenge ?? null];
}

/** Whether grant `g` has not ended, and user `u` and client `c` still stand behind it. */
const backed = `g.revoked_at IS NULL
                AND u.id = g.user_id AND u.disabled_at IS NULL AND g.user_epoch >= u.grant_epoch
                AND c.id = g.client_id AND c.disabled_at IS NULL AND g.client_epoch >= c.grant_epoch`;

/** Whether a code is still good, and shown by who may. */
const redeemable = `${proven} AND ${backed} AND g.generation = 0 AND g.expires_at > $6`;

/**
 * The gate of the authorization code: generation 0 becomes 1, for one caller. One conditional UPDATE, which also asks
 * whether user and client still stand behind the grant; undefined where any of it does not hold, and nothing is changed.
 */
export async function redeemCode(
  database: Database,
  proof: CodeProof,
  now: NumericDate,
  expiresAt: NumericDate,
): Promise<RedeemedGrant | undefined> {
  const [row] = await database.query<RedeemedRow>(
    `UPDATE "grant" g SET generation = 1, rotated_at = now(), expires_at = $7
       FROM "user" u, client c
      WHERE ${redeemable}
     RETURNING ${redeemedColumns}`,
    [...proofValues(proof), toDate(now), toDate(expiresAt)],
  );
  return row && toRedeemed(row);
}

/** What `redeemCode` would redeem. Changes nothing. */
export async function findCode(
  database: Database,
  proof: CodeProof,
  now: NumericDate,
): Promise<RedeemedGrant | undefined> {
  const [row] = await database.query<RedeemedRow>(
    `SELECT ${redeemedColumns} FROM "grant" g, "user" u, client c WHERE ${redeemable}`,
    [...proofValues(proof), toDate(now)],
  );
  return row && toRedeemed(row);
}

/** Whose a code with all its proof was that has been redeemed before: then somebody else holds it too. */
export async function redeemedBy(database: Database, proof: CodeProof): Promise<string | undefined> {
  const [row] = await database.query<{ user_id: string }>(
    `SELECT g.user_id FROM "grant" g WHERE ${proven} AND g.generation > 0`,
    proofValues(proof),
  );
  return row?.user_id;
}

/** What a client shows with a refresh token. */
export interface RefreshProof {
  readonly grantId: string;
  /** The generation that the token names. */
  readonly generation: number;
  readonly clientId: string;
  /** Whether the token is replaced by the next generation. */
  readonly rotates: boolean;
  /** Where it is shown from; undefined where that is not known. */
  readonly network: string | undefined;
}

/** Whether session and time, $1, stand behind it too. */
export const standing = `g.expires_at > $1 AND ${backed}
                         AND (g.session_id IS NULL
                              OR EXISTS (SELECT 1 FROM session s WHERE s.id = g.session_id AND s.expires_at > $1))`;

/** A grant as it stands. */
export interface StandingGrant extends RedeemedGrant {
  /** Whether its last rotation was within `grace` seconds, by the database's clock. */
  readonly recent: boolean;
}

/** The grant of a refresh token, whatever generation that names; undefined where it stands no more. Changes nothing. */
export async function findGrant(
  database: Database,
  { grantId, clientId }: Pick<RefreshProof, 'grantId' | 'clientId'>,
  now: NumericDate,
  grace: Seconds,
): Promise<StandingGrant | undefined> {
  const [row] = await database.query<RedeemedRow & { recent: boolean }>(
    `SELECT ${redeemedColumns}, coalesce(g.rotated_at > now() - make_interval(secs => $4), false) AS recent
       FROM "grant" g, "user" u, client c WHERE g.id = $2 AND g.client_id = $3 AND ${standing}`,
    [toDate(now), grantId, clientId, grace],
  );
  return row && { ...toRedeemed(row), recent: row.recent };
}

/** Which grants an act ends. */
export type GrantsOf = { id: string } | { sessionId: string; userId?: string } | { userId: string; clientId: string };

/** Ends those that have not ended yet. Answers their ids. */
export async function endGrants(tx: Transaction, which: GrantsOf, now: NumericDate): Promise<string[]> {
  const ended = await tx.grant.updateManyAndReturn({
    where: { ...which, revokedAt: null },
    data: { revokedAt: toDate(now) },
    select: { id: true },
  });
  return ended.map(({ id }) => id);
}

/** The same for those of so many whose rows nobody holds at the moment: it waits for none. */
export async function endFreeGrants(tx: Transaction, ids: readonly string[], now: NumericDate): Promise<string[]> {
  const ended = await tx.$queryRaw<{ id: string }[]>`
    UPDATE "grant" SET revoked_at = ${toDate(now)}
     WHERE id IN (SELECT id FROM "grant" WHERE id = ANY (${ids}) AND revoked_at IS NULL FOR UPDATE SKIP LOCKED)
    RETURNING id`;
  return ended.map(({ id }) => id);
}

/** Of so many grants at the most is looked for what no index finds. */
const sample = 200_000;

/**
 * How many live grants were redeemed last between two instants, by the database's clock, of clients that have refresh
 * tokens: about as many as hold one that was signed then. An estimate where there are very many, in seconds at any size.
 */
export async function countGrantsRedeemed(
  database: Database,
  from: NumericDate,
  until: NumericDate,
  now: NumericDate,
): Promise<number> {
  const [table] = await database.query<{ rows: number }>(
    `SELECT greatest(reltuples, 1)::float8 AS rows FROM pg_class WHERE oid = '"grant"'::regclass`,
  );
  const share = Math.min(1, sample / (table?.rows ?? 1));
  const [row] = await database.query<{ count: number }>(
    `SELECT round(count(*) / $4::float8)::int AS count
       FROM "grant" g TABLESAMPLE SYSTEM (100 * $4::float8), "user" u, client c
      WHERE ${backed} AND g.expires_at > $3 AND g.rotated_at >= $1 AND g.rotated_at < $2
        AND 'refresh_token' = ANY (c.grant_types)`,
    [toDate(from), toDate(until), toDate(now), share],
  );
  return row?.count ?? 0;
}

export interface RedeemedRow extends GrantRow {
  generation: number;
  expires_at: Date;
  epoch: number;
  roles: string[];
}

export function toRedeemed(row: RedeemedRow): RedeemedGrant {
  return {
    grant: fromRow(row),
    generation: row.generation,
    expiresAt: toNumericDate(row.expires_at),
    user: { epoch: row.epoch, roles: row.roles },
  };
}

interface GrantRow {
  id: string;
  user_id: string;
  client_id: string;
  session_id: string | null;
  sid: string | null;
  scope: string[];
  resources: string[];
  auth_time: Date;
  amr: string[];
  user_epoch: number;
  client_epoch: number;
  nonce: string | null;
}

function fromRow(row: GrantRow): Grant {
  return {
    id: row.id,
    userId: row.user_id,
    clientId: row.client_id,
    sessionId: row.session_id,
    sid: row.sid,
    scope: row.scope,
    resources: row.resources,
    authTime: toNumericDate(row.auth_time),
    amr: row.amr,
    userEpoch: row.user_epoch,
    clientEpoch: row.client_epoch,
    nonce: row.nonce,
  };
}

/** Forgets grants that are over, a few at a time. */
export function forgetOldGrants(database: Database): Promise<number> {
  return forgetBefore(database, '"grant"', 'expires_at');
}
