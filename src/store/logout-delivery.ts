import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { Transaction } from './change.ts';
import type { Database } from './database.ts';
import { claimDue, type DeliveryRow } from './delivery.ts';
import { toDate } from './instant.ts';

/** An end of one session, or of all that a person is signed in to, that clients have to be told of. */
export interface NewLogout {
  readonly logoutId: string;
  readonly userId: string;
  /** Null: all sessions of the user. */
  readonly sessionId: string | null;
  readonly clientIds: readonly string[];
}

/** One client that has to be told of one sign-out. */
export interface LogoutDelivery extends DeliveryRow {
  readonly clientId: string;
  readonly userId: string;
  readonly sessionId: string | null;
}

/** Who ends something tells the clients at once; any other instance may from then on, in case that one is gone. */
const headStart: Seconds = 2;

/**
 * Writes down whom to tell: those of the clients that have a back-channel address. Part of the transaction that ends what
 * they are told of, so that no crash loses one. Answers how many there are.
 */
export async function addLogoutDeliveries(tx: Transaction, logout: NewLogout, now: NumericDate): Promise<number> {
  const { clientIds, ...rest } = logout;
  if (clientIds.length === 0) return 0;
  const clients = await tx.client.findMany({
    where: { id: { in: [...clientIds] }, backchannelLogoutUri: { not: null } },
    select: { id: true },
  });
  const times = { createdAt: toDate(now), nextAttemptAt: toDate(now + headStart) };
  const data = clients.map(({ id }) => ({ id: `${rest.logoutId}/${id}`, clientId: id, ...rest, ...times }));
  const { count } = await tx.logoutDelivery.createMany({ data });
  return count;
}

/**
 * The clients that a user has entered from a session, or that hold a grant without one, as long as neither is of an
 * epoch below the given one: those were ended before.
 */
export async function clientsOfUser(
  tx: Transaction,
  userId: string,
  grantEpoch: number,
  now: NumericDate,
): Promise<string[]> {
  const rows = await tx.$queryRaw<{ client_id: string }[]>`
    SELECT unnest(client_ids) AS client_id FROM session
     WHERE user_id = ${userId} AND user_epoch >= ${grantEpoch} AND expires_at > ${toDate(now)}
     UNION
    SELECT client_id FROM "grant"
     WHERE user_id = ${userId} AND user_epoch >= ${grantEpoch} AND expires_at > ${toDate(now)} AND revoked_at IS NULL`;
  return rows.map((row) => row.client_id);
}

interface Row extends DeliveryRow {
  client_id: string;
  user_id: string;
  session_id: string | null;
}

const columns = 'id, client_id, user_id, session_id, attempts';

/** Takes the deliveries of a new sign-out, for one caller. Until then nobody else attempts them. */
export async function claimNewDeliveries(
  database: Database,
  logoutId: string,
  until: NumericDate,
): Promise<LogoutDelivery[]> {
  const rows = await database.query<Row & Record<string, unknown>>(
    `UPDATE logout_delivery SET attempts = 1, next_attempt_at = $2 WHERE logout_id = $1 AND attempts = 0 RETURNING ${columns}`,
    [logoutId, toDate(until)],
  );
  return rows.map(fromRow);
}

/** Takes deliveries that are due, each for one caller. Until then nobody else attempts them. */
export async function claimDueDeliveries(
  database: Database,
  now: NumericDate,
  until: NumericDate,
  limit: number,
): Promise<LogoutDelivery[]> {
  return (await claimDue<Row>(database, 'logout_delivery', columns, now, until, limit)).map(fromRow);
}

function fromRow({ id, client_id, user_id, session_id, attempts }: Row): LogoutDelivery {
  return { id, clientId: client_id, userId: user_id, sessionId: session_id, attempts };
}
