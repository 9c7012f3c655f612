import type { NumericDate } from '../protocol/time.ts';
import type { Database } from './database.ts';
import { forgetBefore } from './forget.ts';
import { toDate, toNumericDate, toNumericDateOrNull } from './instant.ts';

/** An authorization request that waits for a person. */
export interface Interaction {
  readonly id: string;
  /** Digest of the secret of the browser in which it was begun. */
  readonly browserDigest: string;
  /** The request, sealed. */
  readonly request: string;
  readonly startedAt: NumericDate;
  /** Who was chosen in it to go on with. */
  readonly chosenBy: string | null;
  /** Who consented in this interaction, and when. */
  readonly consentedBy: string | null;
  readonly consentedAt: NumericDate | null;
  readonly expiresAt: NumericDate;
}

export async function addInteraction(database: Database, interaction: Interaction): Promise<void> {
  await database.query(
    `INSERT INTO interaction (id, browser_digest, request, started_at, expires_at) VALUES ($1, $2, $3, $4, $5)`,
    [
      interaction.id,
      interaction.browserDigest,
      interaction.request,
      toDate(interaction.startedAt),
      toDate(interaction.expiresAt),
    ],
  );
}

interface InteractionRow {
  id: string;
  browser_digest: string;
  request: string;
  started_at: Date;
  chosen_by: string | null;
  consented_by: string | null;
  consented_at: Date | null;
  expires_at: Date;
}

/** The interaction of that id, begun in that browser and not over. */
export async function findInteraction(
  database: Database,
  id: string,
  browserDigest: string,
  now: NumericDate,
): Promise<Interaction | undefined> {
  const [row] = await database.query<InteractionRow>(
    `SELECT id, browser_digest, request, started_at, chosen_by, consented_by, consented_at, expires_at
       FROM interaction WHERE id = $1 AND browser_digest = $2 AND expires_at > $3`,
    [id, browserDigest, toDate(now)],
  );
  return row && fromRow(row);
}

function fromRow(row: InteractionRow): Interaction {
  return {
    id: row.id,
    browserDigest: row.browser_digest,
    request: row.request,
    startedAt: toNumericDate(row.started_at),
    chosenBy: row.chosen_by,
    consentedBy: row.consented_by,
    consentedAt: toNumericDateOrNull(row.consented_at),
    expiresAt: toNumericDate(row.expires_at),
  };
}

/** Notes that a person goes on as who they are. */
export async function noteChoice(database: Database, id: string, userId: string): Promise<void> {
  await database.query('UPDATE interaction SET chosen_by = $2 WHERE id = $1', [id, userId]);
}

/** Notes that a person has consented in it. */
export async function noteConsent(database: Database, id: string, userId: string, now: NumericDate): Promise<void> {
  await database.query(`UPDATE interaction SET consented_by = $2, consented_at = $3 WHERE id = $1`, [
    id,
    userId,
    toDate(now),
  ]);
}

/** Ends an interaction. True for the one caller that did: an answer is given once. */
export async function removeInteraction(database: Database, id: string): Promise<boolean> {
  const rows = await database.query(`DELETE FROM interaction WHERE id = $1 RETURNING 1`, [id]);
  return rows.length > 0;
}

/** Forgets interactions that are over, a few at a time. */
export function forgetOldInteractions(database: Database): Promise<number> {
  return forgetBefore(database, 'interaction', 'expires_at');
}

/** The sealed requests of interactions that are not over. */
export async function listSealedInteractions(database: Database): Promise<{ id: string; request: string }[]> {
  return database.query<{ id: string; request: string }>(
    'SELECT id, request FROM interaction WHERE expires_at > now() ORDER BY id',
  );
}

/** How many interactions that are not over there are by the protected header of their seal. */
export async function countSealedInteractions(database: Database): Promise<Map<string, number>> {
  const rows = await database.query<{ header: string; count: number }>(
    `SELECT split_part(request, '.', 1) AS header, count(*)::int AS count
       FROM interaction WHERE expires_at > now() GROUP BY 1`,
  );
  return new Map(rows.map(({ header, count }) => [header, count]));
}

/** Replaces a sealed request by the same under another seal. False: it is not there any more. */
export async function resealInteraction(database: Database, id: string, from: string, to: string): Promise<boolean> {
  const text = 'UPDATE interaction SET request = $3 WHERE id = $1 AND request = $2 RETURNING 1';
  return (await database.query(text, [id, from, to])).length > 0;
}

/** Ends interactions that nobody can open. */
export async function removeSealedInteractions(database: Database, ids: readonly string[]): Promise<void> {
  await database.query('DELETE FROM interaction WHERE id = ANY($1)', [ids]);
}
