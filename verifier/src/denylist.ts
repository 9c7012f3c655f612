/** The denylist in memory, and the one rule by which a token is void. No clock is in the rule. */
import { revocationDigest } from './digest.ts';

export { type RevocationKind, revocationDigest } from './digest.ts';

/** What the rule looks at in a token: `kid` is its header's, all others are claims. */
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

/** One entry of the feed: what the digest names is void, or, with an epoch, all of it that has a lower one. */
export interface RevocationEntry {
  readonly digest: string;
  readonly epochBelow: number | null;
  /** Seconds since 1970: from then on nothing that it concerns can be alive. */
  readonly expiresAt: number;
}

export interface Denylist {
  /** Takes in entries. It only grows: entries already there are no harm, and none takes another's place. */
  add(entries: Iterable<RevocationEntry>): void;
  /** Whether a token is void: its id, grant or key is named, or its user's or client's epoch has passed it by. */
  isVoid(token: RevocableToken): boolean;
  /** Lets go of entries that concern nothing alive. */
  forget(now: number): void;
  readonly size: number;
}

export function createDenylist(): Denylist {
  /** By digest; null: void outright; a number: void below that epoch. */
  const entries = new Map<string, { epochBelow: number | null; expiresAt: number }>();

  function named(digest: string): boolean {
    return entries.get(digest)?.epochBelow === null;
  }

  function passedBy(digest: string, epoch: number): boolean {
    const epochBelow = entries.get(digest)?.epochBelow;
    return epochBelow !== undefined && epochBelow !== null && epoch < epochBelow;
  }

  return {
    get size() {
      return entries.size;
    },

    add(added) {
      for (const { digest, epochBelow, expiresAt } of added) {
        const before = entries.get(digest);
        const epoch =
          before?.epochBelow === null || epochBelow === null ? null : Math.max(before?.epochBelow ?? 0, epochBelow);
        entries.set(digest, { epochBelow: epoch, expiresAt: Math.max(before?.expiresAt ?? 0, expiresAt) });
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
