/** The change log: how every instance learns, in commit order, that something it holds in memory has changed. */

import type { NumericDate } from '../protocol/time.ts';
import type { Act, Actor } from './audit-event.ts';
import type { Database } from './database.ts';
import type { Prisma } from './generated/client.ts';

/** A transaction that is open. */
export type Transaction = Prisma.TransactionClient;

/** The tables that instances hold in memory. */
export type ChangeKind = 'issuer' | 'signing_key' | 'resource' | 'client' | 'role' | 'revocation';

export interface Change {
  readonly id: bigint;
  readonly kind: ChangeKind;
  /** Primary key of the row that changed. */
  readonly name: string;
}

/** Notes, within a transaction, an act for the audit; by the database's own actor where none is given. */
export type Audited = (act: Act, by?: Actor) => void;

/** Notes, within a transaction, what instances have to read anew; of what an administrator changes, the audit learns too. */
export type Changed = (kind: ChangeKind, name: string) => void;

/** The channel on which a commit wakes the instances up. Only a wake-up: the log is what counts. */
export const changeChannel = 'keyturn_change';

/** Advisory locks, all in one place so that no two share a number. The first half is ours, the second the purpose. */
const lockSpace = 0x6b74; // 'kt'
export const locks = { changeLog: 1, signingKeys: 2 } as const;

/** The locks that a transaction holds: to take one again would only cost a round trip. */
const held = new WeakMap<Transaction, Set<number>>();

/** Takes an advisory lock that is held until the transaction ends. */
export async function takeLock(tx: Transaction, lock: number): Promise<void> {
  const those = held.get(tx) ?? new Set();
  if (those.has(lock)) return;
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(${lockSpace}::int4, ${lock}::int4)`;
  held.set(tx, those.add(lock));
}

/** The database's clock as it is now, not as it was when the transaction began to wait for a lock. */
export async function databaseNow(tx: Transaction): Promise<NumericDate> {
  const [row] = await tx.$queryRaw<{ now: number }[]>`SELECT extract(epoch FROM clock_timestamp())::float8 AS now`;
  return Math.floor((row as { now: number }).now);
}

/** What an administrator changes. The acts on the others have names of their own. */
const administered = new Set<ChangeKind>(['resource', 'client', 'role', 'signing_key']);

/**
 * Runs the work in one transaction and logs what it changed. The lock is taken in a statement of its own before the
 * INSERT and held to the commit: ids become visible in ascending order, so that no reader ever skips one.
 */
export async function changing<T>(
  database: Database,
  work: (tx: Transaction, changed: Changed, audited: Audited) => Promise<T>,
): Promise<T> {
  return database.prisma.$transaction(
    async (tx) => {
      const changes: { kind: ChangeKind; name: string }[] = [];
      const acts: (Act & Actor)[] = [];
      const audited: Audited = (act, by = database.actor) => void acts.push({ ...by, ...act });
      const changed: Changed = (kind, name) => void changes.push({ kind, name });
      const result = await work(tx, changed, audited);
      for (const { kind, name } of changes) {
        if (administered.has(kind)) audited({ act: `${kind} changed`, target: `${kind} ${name}` });
      }
      if (changes.length > 0) await takeLock(tx, locks.changeLog);
      if (changes.length > 0 || acts.length > 0) await log(tx, changes, acts);
      return result;
    },
    { maxWait: database.patience.connection, timeout: database.patience.transaction },
  );
}

/** Both logs, and the wake-up, in one statement: the lock is held while it runs. */
async function log(
  tx: Transaction,
  changes: readonly { kind: ChangeKind; name: string }[],
  acts: readonly (Act & Actor)[],
): Promise<void> {
  await tx.$executeRaw`
    WITH changed AS (
      INSERT INTO change (kind, name)
      SELECT kind, name FROM json_to_recordset(${JSON.stringify(changes)}::json) AS row (kind text, name text)),
    audited AS (
      INSERT INTO audit_event (actor, address, act, target, reason, refused)
      SELECT actor, address, act, target, reason, coalesce(refused, false)
        FROM json_to_recordset(${JSON.stringify(acts)}::json)
          AS row (actor text, address text, act text, target text, reason text, refused boolean))
    SELECT pg_notify(${changeChannel}, '') WHERE ${changes.length > 0}`;
}
