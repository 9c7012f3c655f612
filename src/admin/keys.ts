import { algorithms } from '../crypto/algorithms.ts';
import { sealedUnder } from '../crypto/sealing.ts';
import { type RotationOutcome, rotateByHand } from '../keys/administration.ts';
import { stopsSigningAt } from '../keys/lifecycle.ts';
import { type KeyLife, livesOf, type Moment } from '../keys/timeline.ts';
import type { SigningKey } from '../protocol/signing-key.ts';
import type { NumericDate } from '../protocol/time.ts';
import { countGrantsRedeemed } from '../store/grant.ts';
import { listSigningKeys } from '../store/signing-key.ts';
import { refreshTokenAlg } from '../tokens/mint.ts';
import { type AdminContext, AdminError } from './context.ts';

/** A signing key and the times of its life; null: not in sight. */
export interface KeyDocument {
  readonly kid: string;
  readonly alg: string;
  readonly phase: string;
  readonly published_from: NumericDate;
  readonly signs_from: NumericDate;
  readonly signs_until: NumericDate | null;
  readonly published_until: NumericDate | null;
  readonly forgotten_from: NumericDate | null;
  /** The key-encryption key of its private half; null where that is erased. */
  readonly sealed_under: string | null;
}

/** What a rotation comes to for one algorithm. */
export interface RotationDocument {
  readonly alg: string;
  readonly signer: string | null;
  readonly standby: string | null;
  readonly signs_from: NumericDate | null;
  readonly changed: boolean;
}

export interface RotationAsked {
  /** Those that are in use where this is left out. */
  readonly alg?: string | undefined;
  /** At once, whatever caches may hold. */
  readonly immediately: boolean;
  /** Only say what would happen. */
  readonly dryRun: boolean;
  /** Only where this key signs: who asks again when that is done turns nothing further. */
  readonly replaces?: string | undefined;
}

export interface KeyRevocationDocument {
  readonly kid: string;
  readonly already_revoked: boolean;
  /** The standby that signs from now on in its place. */
  readonly successor: string | null;
  /** It signed and there was no standby: a running server makes a new key within seconds, which no cache knows yet. */
  readonly leaderless: boolean;
}

/** The lives of all keys by algorithm, in the order of the table of algorithms. */
export async function readKeyLives({
  database,
  now,
  schedule,
}: AdminContext): Promise<[alg: string, lives: KeyLife<SigningKey>[]][]> {
  const keys = await listSigningKeys(database);
  return [...algorithms.keys()].flatMap((alg): [string, KeyLife<SigningKey>[]][] => {
    const ofAlg = keys.filter((key) => key.alg === alg);
    return ofAlg.length === 0 ? [] : [[alg, livesOf(ofAlg, now, schedule)]];
  });
}

export function keyDocument({ key, phase, moments }: KeyLife<SigningKey>): KeyDocument {
  const at = (...whats: Moment['what'][]) => moments.find(({ what }) => whats.includes(what))?.at ?? null;
  return {
    kid: key.kid,
    alg: key.alg,
    phase,
    published_from: key.createdAt,
    signs_from: key.signsFrom,
    signs_until: at('retired', 'revoked'),
    published_until: at('withdrawn', 'revoked'),
    forgotten_from: at('forgotten'),
    sealed_under: key.sealedPrivateJwk === null ? null : sealedUnder(key.sealedPrivateJwk),
  };
}

export async function listKeys(context: AdminContext): Promise<KeyDocument[]> {
  return (await readKeyLives(context)).flatMap(([, lives]) => lives.map(keyDocument));
}

/**
 * Lets the published standby sign: as soon as every cache must know it, or at once. Throws `not yet` where an algorithm
 * has none; what could be done for the others is done then.
 */
export async function rotateKeys(
  { database, schedule }: AdminContext,
  { alg, replaces, immediately, dryRun }: RotationAsked,
): Promise<RotationOutcome[]> {
  const which = { ...(alg !== undefined && { algs: [alg] }), ...(replaces !== undefined && { replaces }) };
  return rotateByHand(database, { ...which, immediately, dryRun, schedule });
}

/** Throws `not yet` where an algorithm has no standby. */
export function requireStandbys(outcomes: readonly RotationOutcome[]): void {
  if (outcomes.every(({ standby }) => standby !== undefined)) return;
  throw new AdminError('not yet', 'no standby is published yet: a running server makes one within seconds; try again');
}

export function rotationDocument({ alg, signer, standby, signsFrom, changed }: RotationOutcome): RotationDocument {
  return { alg, signer: signer?.kid ?? null, standby: standby?.kid ?? null, signs_from: signsFrom ?? null, changed };
}

/** Withdraws a key that others may hold, with all that it has signed; the standby signs at once. */
export async function revokeKey(
  { revoker, schedule }: AdminContext,
  kid: string,
  reason = 'by command',
): Promise<KeyRevocationDocument> {
  const revocation = await revoker.revokeKey(kid, schedule, reason);
  if (revocation === undefined) {
    throw new AdminError('absent', 'there is no key of that kid', 'see keyturn keys list');
  }
  const { already, successor = null, leaderless } = revocation;
  return { kid, already_revoked: already, successor, leaderless };
}

/** About how many grants end with a key that is not revoked yet: those whose refresh token it has signed. */
export async function countGrantsOf({ database, now }: AdminContext, kid: string): Promise<number> {
  const keys = await listSigningKeys(database);
  const key = keys.find((one) => one.kid === kid);
  if (key?.alg !== refreshTokenAlg || key.revokedAt !== null) return 0;
  const ofAlg = keys.filter(({ alg }) => alg === key.alg);
  const until = stopsSigningAt(key, ofAlg);
  return countGrantsRedeemed(database, key.signsFrom, until ?? now + 1, now);
}
