/** The denylist in memory, and the one rule by which a token is void. No clock is in the rule. */
import { type RevocationKind, revocationDigest } from './digest.ts';

export { type RevocationKind, revocationDigest } from './digest.ts';

/** The claims that the rule looks at. */
export interface RevocableToken {
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
  isVoid(kid: string, claims: RevocableToken): boolean;
  /** Lets go of entries that concern nothing alive. */
  forget(now: number): void;
  readonly size: number;
}

export function createDenylist(): Denylist {
  /** What is void outright: when it may be forgotten, by digest. */
  const outright = new Map<string, number>();
  /** What is void below an epoch. */
  const below = new Map<string, { readonly epoch: number; readonly expiresAt: number }>();
  // Tokens differ in `jti`; what else is named in them comes again and again.
  const kidDigest = remembered('kid');
  const subDigest = remembered('sub');
  const clientDigest = remembered('client');

  function passedBy(digest: string, epoch: number): boolean {
    const entry = below.get(digest);
    return entry !== undefined && epoch < entry.epoch;
  }

  return {
    get size() {
      return outright.size + below.size;
    },

    add(added) {
      for (const { digest, epochBelow, expiresAt } of added) {
        if (epochBelow === null) {
          outright.set(digest, Math.max(outright.get(digest) ?? 0, expiresAt));
        } else {
          const { epoch, expiresAt: before } = below.get(digest) ?? { epoch: 0, expiresAt: 0 };
          below.set(digest, { epoch: Math.max(epoch, epochBelow), expiresAt: Math.max(before, expiresAt) });
        }
      }
    },

    isVoid(kid, { jti, sub, client_id, gid, sub_epoch = 0, client_epoch = 0 }) {
      const isNamed =
        outright.size > 0 &&
        (outright.has(revocationDigest('jti', jti)) ||
          (gid !== undefined && outright.has(gid)) ||
          outright.has(kidDigest(kid)));
      return (
        isNamed ||
        (below.size > 0 && (passedBy(subDigest(sub), sub_epoch) || passedBy(clientDigest(client_id), client_epoch)))
      );
    },

    forget(now) {
      for (const [digest, expiresAt] of outright) if (expiresAt <= now) outright.delete(digest);
      for (const [digest, { expiresAt }] of below) if (expiresAt <= now) below.delete(digest);
    },
  };
}

/** Digests that are remembered per kind, a few hundred kilobytes of them at most. */
const mostRemembered = 2_000;

/** `revocationDigest` of one kind, which is not worked out again for the names that came last. */
function remembered(kind: RevocationKind): (name: string) => string {
  const digests = new Map<string, string>();
  return (name) => {
    let digest = digests.get(name);
    if (digest === undefined) {
      digest = revocationDigest(kind, name);
      if (digests.size >= mostRemembered) digests.clear();
      digests.set(name, digest);
    }
    return digest;
  };
}
