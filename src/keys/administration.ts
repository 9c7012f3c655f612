/** What an administrator does to keys by hand, through the same lock and by the same plan as the rotator. */
import type { SigningKey } from '../protocol/signing-key.ts';
import type { NumericDate } from '../protocol/time.ts';
import type { Database } from '../store/database.ts';
import { changeSigningKeys, listSigningKeys } from '../store/signing-key.ts';
import { type KeyStep, plan, rotationStep, type Schedule, signerOf, standbyOf } from './lifecycle.ts';

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
}

export interface RotationOptions {
  readonly algs: readonly string[];
  /** Start the published standby at once, whatever caches may hold. */
  readonly immediately: boolean;
  /** Only say what would happen. */
  readonly dryRun: boolean;
  readonly now: NumericDate;
  readonly schedule: Schedule;
}

/** Brings the standby's turn forward, per algorithm. */
export async function rotateByHand(database: Database, options: RotationOptions): Promise<RotationOutcome[]> {
  const { algs, immediately, now, schedule } = options;

  function outcomes(keys: readonly SigningKey[]): { outcome: RotationOutcome; step: KeyStep | undefined }[] {
    return algs.map((alg) => {
      const ofAlg = keys.filter((key) => key.alg === alg);
      const step = rotationStep(ofAlg, now, schedule, immediately);
      const standby = standbyOf(ofAlg, now);
      const signsFrom = step?.act === 'promote' ? step.signsFrom : standby?.signsFrom;
      return { step, outcome: { alg, signer: signerOf(ofAlg, now), standby, signsFrom, changed: step !== undefined } };
    });
  }

  if (options.dryRun) return outcomes(await listSigningKeys(database)).map(({ outcome }) => outcome);
  return changeSigningKeys(database, async (keys, write) => {
    const planned = outcomes(keys);
    for (const { step } of planned) if (step?.act === 'promote') await write.setSignsFrom(step.kid, step.signsFrom);
    return planned.map(({ outcome }) => outcome);
  });
}

/** What revoking a key led to. */
export interface KeyRevocation {
  readonly key: SigningKey;
  /** It had been revoked before: nothing was done. */
  readonly already: boolean;
  /** The standby that signs from now on in its place, where it was the signer and there was one. */
  readonly successor: string | undefined;
}

/**
 * Withdraws a key: it neither signs nor is published from now on, its private half is erased, and where it was the
 * signer the standby signs at once. Undefined: there is no such key.
 */
export async function revokeKey(
  database: Database,
  kid: string,
  now: NumericDate,
  schedule: Schedule,
): Promise<KeyRevocation | undefined> {
  return changeSigningKeys(database, async (keys, write) => {
    const key = keys.find((candidate) => candidate.kid === kid);
    if (key === undefined) return undefined;
    if (key.revokedAt !== null) return { key, already: true, successor: undefined };
    await write.revoke(kid, now);
    await write.erasePrivateHalf(kid);
    const rest = keys.map((other) => (other.kid === kid ? { ...key, revokedAt: now, sealedPrivateJwk: null } : other));
    const ofAlg = rest.filter(({ alg }) => alg === key.alg);
    const step = plan(key.alg, ofAlg, now, schedule).find(({ act }) => act === 'promote');
    if (step?.act !== 'promote') return { key, already: false, successor: undefined };
    await write.setSignsFrom(step.kid, step.signsFrom);
    return { key, already: false, successor: step.kid };
  });
}
