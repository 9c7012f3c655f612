/** What an administrator does to keys by hand, through the same lock and by the same plan as the rotator. */
import { algorithmsInUse } from '../crypto/algorithms.ts';
import type { SigningKey } from '../protocol/signing-key.ts';
import type { NumericDate } from '../protocol/time.ts';
import { databaseNow } from '../store/change.ts';
import type { Database } from '../store/database.ts';
import { changeSigningKeys, type SigningKeyWriter } from '../store/signing-key.ts';
import { plan, rotationStep, type Schedule, signerOf, standbyOf } from './lifecycle.ts';

/** What a rotation by hand comes to for one algorithm. */
export interface RotationOutcome {
  readonly alg: string;
  readonly signer: SigningKey | undefined;
  /** The key that signs next, as it was before; undefined where none is published, so that nothing can be done. */
  readonly standby: SigningKey | undefined;
  /** From when the standby signs. */
  readonly signsFrom: NumericDate | undefined;
  /** Whether that differs from what it was. */
  readonly changed: boolean;
  /** When this was decided, by the database's clock. */
  readonly decidedAt: NumericDate;
}

export interface RotationOptions {
  /** Those that are in use where this is left out. */
  readonly algs?: readonly string[];
  /** Only where this key signs. */
  readonly replaces?: string;
  /** Start the published standby at once, whatever caches may hold. */
  readonly immediately: boolean;
  /** Only say what would happen. */
  readonly dryRun: boolean;
  /** Stands in for the database's clock, as that is once the lock is held. */
  readonly now?: NumericDate;
  readonly schedule: Schedule;
}

/** Brings the standby's turn forward, per algorithm. What a dry run answers is what would be done at that moment. */
export async function rotateByHand(database: Database, options: RotationOptions): Promise<RotationOutcome[]> {
  const { immediately, dryRun, schedule } = options;
  return changeSigningKeys(database, async (keys, write, tx) => {
    const decidedAt = options.now ?? (await databaseNow(tx));
    const outcomes: RotationOutcome[] = [];
    for (const alg of options.algs ?? algorithmsInUse(keys)) {
      const ofAlg = keys.filter((key) => key.alg === alg);
      const signer = signerOf(ofAlg, decidedAt);
      if (options.replaces !== undefined && options.replaces !== signer?.kid) continue;
      const step = rotationStep(ofAlg, decidedAt, schedule, immediately);
      if (step?.act === 'promote' && !dryRun) await write.setSignsFrom(step.kid, step.signsFrom);
      const standby = standbyOf(ofAlg, decidedAt);
      const signsFrom = step?.act === 'promote' ? step.signsFrom : standby?.signsFrom;
      const changed = step !== undefined;
      outcomes.push({ alg, signer, standby, signsFrom, changed, decidedAt });
    }
    return outcomes;
  });
}

/** What revoking a key led to. */
export interface KeyRevocation {
  readonly key: SigningKey;
  /** It had been revoked before: nothing was done. */
  readonly already: boolean;
  /** The standby that signs from now on in its place, where it was the signer and there was one. */
  readonly successor: string | undefined;
  /** It was the signer and there was no standby, as when another one was revoked a moment ago: the rotator makes a key. */
  readonly leaderless: boolean;
}

/**
 * Withdraws a key, within a transaction that holds the keys: it neither signs nor is published from now on, its private
 * half is erased, and where it was the signer the standby signs at once. Undefined: there is no such key.
 */
export async function withdrawKey(
  keys: readonly SigningKey[],
  write: SigningKeyWriter,
  kid: string,
  now: NumericDate,
  schedule: Schedule,
): Promise<KeyRevocation | undefined> {
  const key = keys.find((candidate) => candidate.kid === kid);
  if (key === undefined) return undefined;
  if (key.revokedAt !== null) return { key, already: true, successor: undefined, leaderless: false };
  await write.revoke(kid, now);
  await write.erasePrivateHalf(kid);
  const rest = keys.map((other) => (other.kid === kid ? { ...key, revokedAt: now, sealedPrivateJwk: null } : other));
  const ofAlg = rest.filter(({ alg }) => alg === key.alg);
  const step = plan(key.alg, ofAlg, now, schedule).find(({ act }) => act === 'promote');
  const leaderless = step === undefined && signerOf(ofAlg, now) === undefined;
  if (step?.act !== 'promote') return { key, already: false, successor: undefined, leaderless };
  await write.setSignsFrom(step.kid, step.signsFrom);
  return { key, already: false, successor: step.kid, leaderless };
}
