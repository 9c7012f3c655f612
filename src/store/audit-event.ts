import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { Database } from './database.ts';
import { forgetBefore } from './forget.ts';
import { toNumericDate } from './instant.ts';

/** Who acts, and from where. */
export interface Actor {
  /** `user <id>`, `client <id>`, `admin <account>`, `issuer`, or `somebody`. */
  readonly actor: string;
  /** An IP address; null where there is none. */
  readonly address: string | null;
}

/** What was done. */
export interface Act {
  readonly act: string;
  /** What to, by kind and name: `client client_k3v9…`. */
  readonly target: string | null;
  readonly reason?: string | null;
  readonly refused?: boolean;
}

export interface AuditEvent extends Actor, Act {
  readonly id: number;
  readonly at: NumericDate;
  readonly reason: string | null;
  readonly refused: boolean;
}

/**
 * Writes down an act that is one statement (transactions do it by `changing`): a part of it, to stand behind its `WITH`. Its values are the ones of
 * `auditValues`, and are the statement's parameters from number `first` on. With `once`, for each row of that part.
 */
export function auditing(first: number, once = ''): string {
  const [actor, address, act, target, refused, reason] = [0, 1, 2, 3, 4, 5].map((offset) => `$${first + offset}`);
  return `audited AS (INSERT INTO audit_event (actor, address, act, target, refused, reason)
            SELECT ${actor}, ${address}, ${act}, ${target}, ${refused}::boolean, ${reason} ${once && `FROM ${once}`})`;
}

export function auditValues({ actor, address }: Actor, act: Act): unknown[] {
  return [actor, address, act.act, act.target, act.refused ?? false, act.reason ?? null];
}

/** Events in the order of time: those after an id, or the last ones where none is given. */
export async function listAuditEvents(
  database: Database,
  { after, limit }: { readonly after?: number; readonly limit: number },
): Promise<AuditEvent[]> {
  const rows = await database.query<AuditRow>(
    after === undefined
      ? `SELECT ${columns} FROM (SELECT * FROM audit_event ORDER BY id DESC LIMIT $1) AS last ORDER BY id`
      : `SELECT ${columns} FROM audit_event WHERE id > $2 ORDER BY id LIMIT $1`,
    after === undefined ? [limit] : [limit, after],
  );
  return rows.map(({ id, at, ...rest }) => ({ ...rest, id: Number(id), at: toNumericDate(at) }));
}

const columns = 'id, at, actor, act, target, address, refused, reason';

interface AuditRow extends Omit<AuditEvent, 'id' | 'at'> {
  readonly id: string;
  readonly at: Date;
}

/** Forgets events older than that, a few at a time. */
export function forgetOldAuditEvents(database: Database, retention: Seconds): Promise<number> {
  return forgetBefore(database, 'audit_event', 'at', `now() - interval '${retention} seconds'`);
}
