/** The denylist in memory, and the one rule by which a token is void. No clock is in the rule. */
import { prefixOf, type RevocationKind, revocationDigest, revocationPrefix } from './digest.ts';

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

  /** A bit for each prefix of a digest that is there: nearly all tokens are good, and need no look at the maps. */
  const marks = new Uint8Array(2 ** 18);

  function mark(digest: string): void {
    const bit = prefixOf(digest) >>> 3;
    marks[bit >>> 3] = (marks[bit >>> 3] as number) | (1 << (bit & 7));
  }

  function isMarked(prefix: number): boolean {
    const bit = prefix >>> 3;
    return (((marks[bit >>> 3] as number) >>> (bit & 7)) & 1) === 1;
  }

  function isNamed(digest: string): boolean {
    return isMarked(prefixOf(digest)) && outright.has(digest);
  }

  function passedBy(digest: string, epoch: number): boolean {
    const entry = isMarked(prefixOf(digest)) ? below.get(digest) : undefined;
    return entry !== undefined && epoch < entry.epoch;
  }

  return {
    get size() {
      return outright.size + below.size;
    },

    add(added) {
      for (const { digest, epochBelow, expiresAt } of added) {
        mark(digest);
        if (epochBelow === null) {
          outright.set(digest, Math.max(outright.get(digest) ?? 0, expiresAt));
        } else {
          const { epoch, expiresAt: before } = below.get(digest) ?? { epoch: 0, expiresAt: 0 };
          below.set(digest, { epoch: Math.max(epoch, epochBelow), expiresAt: Math.max(before, expiresAt) });
        }
      }
    },

    isVoid(kid, { jti, sub, client_id, gid, sub_epoch = 0, client_epoch = 0 }) {
      const isOutright =
        outright.size > 0 &&
        ((isMarked(revocationPrefix('jti', jti)) && outright.has(revocationDigest('jti', jti))) ||
          (gid !== undefined && isNamed(gid)) ||
          isNamed(kidDigest(kid)));
      const isBelow = () => passedBy(subDigest(sub), sub_epoch) || passedBy(clientDigest(client_id), client_epoch);
      return isOutright || (below.size > 0 && isBelow());
    },

    forget(now) {
      for (const [digest, expiresAt] of outright) if (expiresAt <= now) outright.delete(digest);
      for (const [digest, { expiresAt }] of below) if (expiresAt <= now) below.delete(digest);
      marks.fill(0);
      for (const digest of outright.keys()) mark(digest);
      for (const digest of below.keys()) mark(digest);
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
