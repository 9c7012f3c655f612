import type { NumericDate } from '../protocol/time.ts';
import { auditing, auditValues } from './audit-event.ts';
import type { Transaction } from './change.ts';
import type { Database } from './database.ts';
import { toDate, toNumericDate } from './instant.ts';

/** What a person has allowed a client. */
export interface Consent {
  readonly clientId: string;
  readonly scope: readonly string[];
  readonly grantedAt: NumericDate;
}

interface ConsentRow {
  client_id: string;
  scope: string[];
  granted_at: Date;
}

export async function findConsent(database: Database, userId: string, clientId: string): Promise<Consent | undefined> {
  const [row] = await database.query<ConsentRow>(
    'SELECT client_id, scope, granted_at FROM consent WHERE user_id = $1 AND client_id = $2',
    [userId, clientId],
  );
  return row && fromRow(row);
}

export async function listConsents(database: Database, userId: string): Promise<Consent[]> {
  const rows = await database.query<ConsentRow>(
    'SELECT client_id, scope, granted_at FROM consent WHERE user_id = $1 ORDER BY granted_at DESC',
    [userId],
  );
  return rows.map(fromRow);
}

/** Remembers a consent, beside what the person has allowed the client before. */
export async function saveConsent(
  database: Database,
  userId: string,
  clientId: string,
  scope: readonly string[],
  address: string | null,
  now: NumericDate,
): Promise<void> {
  await database.query(
    `WITH ${auditing(5)}
     INSERT INTO consent (user_id, client_id, scope, granted_at) VALUES ($1, $2, $3, $4)
     ON CONFLICT (user_id, client_id) DO UPDATE SET granted_at = EXCLUDED.granted_at,
       scope = ARRAY(SELECT DISTINCT token FROM unnest(consent.scope || EXCLUDED.scope) AS token ORDER BY token)`,
    [
      userId,
      clientId,
      [...scope],
      toDate(now),
      ...auditValues({ actor: `user ${userId}`, address }, { act: 'consent', target: `client ${clientId}` }),
    ],
  );
}

/** Removes a consent. False: there was none. */
export async function removeConsent(tx: Transaction, userId: string, clientId: string): Promise<boolean> {
  const { count } = await tx.consent.deleteMany({ where: { userId, clientId } });
  return count > 0;
}

function fromRow(row: ConsentRow): Consent {
  return { clientId: row.client_id, scope: row.scope, grantedAt: toNumericDate(row.granted_at) };
}
