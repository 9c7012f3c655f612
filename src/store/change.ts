/** The change log: how every instance learns, in commit order, that something it holds in memory has changed. */

import type { NumericDate } from '../protocol/time.ts';
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

/** Notes, within a transaction, what instances have to read anew. */
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

/**
 * Runs the work in one transaction and logs what it changed. The lock is taken in a statement of its own before the
 * INSERT and held to the commit: ids become visible in ascending order, so that no reader ever skips one.
 */
export async function changing<T>(
  database: Database,
  work: (tx: Transaction, changed: Changed) => Promise<T>,
): Promise<T> {
  return database.prisma.$transaction(
    async (tx) => {
      const changes: { kind: ChangeKind; name: string }[] = [];
      const result = await work(tx, (kind, name) => changes.push({ kind, name }));
      if (changes.length > 0) {
        await takeLock(tx, locks.changeLog);
        await tx.change.createMany({ data: changes });
        await tx.$executeRaw`SELECT pg_notify(${changeChannel}, '')`;
      }
      return result;
    },
    { maxWait: database.patience.connection, timeout: database.patience.transaction },
  );
}
