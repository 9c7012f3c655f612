/** The denylist in memory, and the one rule by which a token is void. No clock is in the rule. */
import { revocationDigest } from '../crypto/revocation-digest.ts';
import type { NumericDate } from '../protocol/time.ts';
import type { Revocation } from '../store/revocation.ts';

/** What the rule looks at in a token. */
export interface RevocableToken {
  readonly kid: string;
  readonly jti: string;
  readonly sub: string;
  readonly client_id: string;
  /** A digest already. */
  readonly gid?: string | undefined;
  readonly sub_epoch?: number | undefined;
  readonly client_epoch?: number | undefined;
}

export interface Denylist {
  /** Takes in entries in the order of their ids. Entries already there are no harm. */
  add(revocations: readonly Revocation[]): void;
  /** The id of the last entry that was taken in. */
  head(): bigint;
  /** Whether a token is void: its id, grant or key is named, or its user's or client's epoch has passed it by. */
  isVoid(token: RevocableToken): boolean;
  /** Lets go of entries that concern nothing alive. */
  forget(now: NumericDate): void;
}

export function createDenylist(): Denylist {
  /** By digest; null: void outright; a number: void below that epoch. */
  const entries = new Map<string, { epochBelow: number | null; expiresAt: NumericDate }>();
  let head = 0n;

  function named(digest: string): boolean {
    return entries.get(digest)?.epochBelow === null;
  }

  function passedBy(digest: string, epoch: number): boolean {
    const epochBelow = entries.get(digest)?.epochBelow;
    return epochBelow !== undefined && epochBelow !== null && epoch < epochBelow;
  }

  return {
    head: () => head,

    add(revocations) {
      for (const { id, digest, epochBelow, expiresAt } of revocations) {
        const before = entries.get(digest);
        const epoch =
          before?.epochBelow === null || epochBelow === null ? null : Math.max(before?.epochBelow ?? 0, epochBelow);
        entries.set(digest, { epochBelow: epoch, expiresAt: Math.max(before?.expiresAt ?? 0, expiresAt) });
        if (id > head) head = id;
      }
    },

    isVoid({ kid, jti, sub, client_id, gid, sub_epoch = 0, client_epoch = 0 }) {
      if (entries.size === 0) return false;
      return (
        named(revocationDigest('jti', jti)) ||
        (gid !== undefined && named(gid)) ||
        named(revocationDigest('kid', kid)) ||
        passedBy(revocationDigest('sub', sub), sub_epoch) ||
        passedBy(revocationDigest('client', client_id), client_epoch)
      );
    },

    forget(now) {
      for (const [digest, { expiresAt }] of entries) if (expiresAt <= now) entries.delete(digest);
    },
  };
}
