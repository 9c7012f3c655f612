/** An act that makes something void: one transaction, and the one function by which it is written down. */
import { type RevocationEntry, type RevocationKind, revocationDigest } from '@keyturn/verifier/denylist';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { Actor } from '../store/audit-event.ts';
import { type Audited, type Changed, changing, locks, type Transaction, takeLock } from '../store/change.ts';
import type { Database } from '../store/database.ts';
import { appendRevocations } from '../store/revocation.ts';

export interface ActOptions {
  readonly database: Database;
  now(): NumericDate;
  /** How long a token may live on after now: longest life ever given, poll, twice the clock tolerance. */
  longestLife(): Seconds;
  /** Told what is void, once that is committed: the memory of this process, where it has one. */
  onVoid?(entries: readonly RevocationEntry[]): void;
}

/** An act under way. */
export interface ActUnderWay {
  readonly tx: Transaction;
  readonly audited: Audited;
  readonly changed: Changed;
  /** What it has voided so far. */
  readonly entries: RevocationEntry[];
}

/** What a denylist entry says: this is void, or what it has below an epoch. */
export interface Void {
  readonly kind: RevocationKind;
  readonly name: string;
  readonly reason: string;
  readonly epochBelow?: number;
  /** Where it is known better than by the longest life of any token. */
  readonly expiresAt?: NumericDate | undefined;
  /** The client whose single token it is. */
  readonly clientId?: string | undefined;
}

export interface Acts {
  /** Runs an act in a transaction of its own: what it voids is in force here when it answers. */
  perform<T>(work: (act: ActUnderWay) => Promise<T>, by?: Actor): Promise<T>;
  /** Writes down what an act voids. */
  revoke(act: Omit<ActUnderWay, 'audited'>, voids: readonly Void[]): Promise<void>;
  /** Writes down grants that an act has ended. */
  noteEnded(act: ActUnderWay, ended: readonly EndedGrant[]): Promise<void>;
}

export interface EndedGrant {
  readonly grantId: string;
  readonly reason: string;
  readonly by: Actor | undefined;
}

export function createActs({ database, now, longestLife, onVoid }: ActOptions): Acts {
  async function revoke({ tx, changed, entries }: Omit<ActUnderWay, 'audited'>, voids: readonly Void[]): Promise<void> {
    const [first] = voids;
    if (first === undefined) return;
    // First: while it waits for the lock, tokens of before may still be given out, and the entry has to outlive those.
    await takeLock(tx, locks.changeLog);
    const rows = voids.map(({ kind, name, reason, clientId, epochBelow = null, expiresAt }) => ({
      digest: revocationDigest(kind, name),
      epochBelow,
      expiresAt: expiresAt ?? now() + longestLife(),
      reason,
      clientId,
    }));
    await appendRevocations(tx, rows);
    changed('revocation', first.reason);
    entries.push(...rows.map(({ digest, epochBelow, expiresAt }) => ({ digest, epochBelow, expiresAt })));
  }

  return {
    revoke,

    async perform(work, by) {
      const entries: RevocationEntry[] = [];
      const result = await changing(database, (tx, changed, audited) =>
        work({ tx, changed, audited: (act, actor = by) => audited(act, actor), entries }),
      );
      onVoid?.(entries);
      return result;
    },

    async noteEnded(act, ended) {
      await revoke(
        act,
        ended.map(({ grantId, reason }) => ({ kind: 'grant', name: grantId, reason })),
      );
      for (const { grantId, reason, by } of ended) {
        act.audited({ act: 'grant ended', target: `grant ${grantId}`, reason }, by);
      }
    },
  };
}
