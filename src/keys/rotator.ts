/**
 * Turns the keys: plan, make and seal what is needed, take the lock, plan again on what is there now, write. Every
 * instance runs it, and it does not matter which one comes first, how often it runs, or where it is killed.
 */
import { algorithmsInUse } from '../crypto/algorithms.ts';
import { sealedUnder } from '../crypto/sealing.ts';
import type { SigningKey } from '../protocol/signing-key.ts';
import type { NumericDate } from '../protocol/time.ts';
import type { Database } from '../store/database.ts';
import { nameFirstSealingKey, readSealingKey } from '../store/issuer.ts';
import { changeSigningKeys, type SigningKeyWriter } from '../store/signing-key.ts';
import type { KeyEncryptionKeys } from './key-encryption-keys.ts';
import { type KeyStep, plan, type Schedule } from './lifecycle.ts';
import { makeKey, type NewKey } from './new-key.ts';

export interface RotatorOptions {
  readonly database: Database;
  readonly keyEncryptionKeys: KeyEncryptionKeys;
  now(): NumericDate;
  schedule(): Schedule;
  /** A step was written; for the log. */
  onStep(step: KeyStep): void;
}

export interface Rotator {
  /** The steps that are due by these rows. Costs next to nothing: meant to be asked every second. */
  due(keys: readonly SigningKey[]): KeyStep[];
  /** Does what is due, if it still is once the lock is held. */
  rotate(keys: readonly SigningKey[]): Promise<void>;
  /** The first start: names the key that seals, making one if this database has none, and checks that we hold it. */
  prepare(): Promise<void>;
  /**
   * Takes in key-encryption keys whose files have come, and seals with the one that the database names. Throws
   * `KeyEncryptionKeyError` where that is not held here, or a file is no good.
   */
  follow(sealingKey: string | null): Promise<void>;
}

export function createRotator(options: RotatorOptions): Rotator {
  const { database, keyEncryptionKeys } = options;

  function due(keys: readonly SigningKey[]): KeyStep[] {
    const now = options.now();
    const schedule = options.schedule();
    return algorithmsInUse(keys).flatMap((alg) => {
      const ofAlg = keys.filter((key) => key.alg === alg);
      return plan(alg, ofAlg, now, schedule);
    });
  }

  /** Writes one step, and answers whose. Undefined: it needs a new key and none was made, so it is left to the next round. */
  async function write(step: KeyStep, made: NewKey[], writer: SigningKeyWriter): Promise<string | undefined> {
    switch (step.act) {
      case 'create': {
        const key = made.find(({ alg }) => alg === step.alg);
        if (key === undefined) return undefined;
        made.splice(made.indexOf(key), 1);
        await writer.insert({ ...key, createdAt: options.now(), signsFrom: step.signsFrom, revokedAt: null });
        return key.kid;
      }
      case 'promote':
      case 'postpone':
        await writer.setSignsFrom(step.kid, step.signsFrom);
        return step.kid;
      case 'erase':
        await writer.erasePrivateHalf(step.kid);
        return step.kid;
      case 'forget':
        await writer.remove(step.kid);
        return step.kid;
    }
  }

  return {
    due,

    async rotate(keys) {
      const planned = due(keys);
      if (planned.length === 0) return;
      // Keys are made before the lock is taken: an RSA key takes up to a second, and others may wait for the lock.
      const made = await Promise.all(
        planned.flatMap((step) => (step.act === 'create' ? [makeKey(database, keyEncryptionKeys, step.alg)] : [])),
      );
      const written = await changeSigningKeys(database, async (current, writer, tx, _changed, audited) => {
        // What was sealed under a key-encryption key that no longer seals would be left behind: another round makes it anew.
        const sealing = await readSealingKey(tx);
        const usable = made.filter(({ sealedPrivateJwk }) => sealedUnder(sealedPrivateJwk ?? '') === sealing);
        const steps: KeyStep[] = [];
        for (const step of due(current)) {
          const kid = await write(step, usable, writer);
          if (kid === undefined) continue;
          audited({ act: `signing_key ${step.act}`, target: `signing_key ${kid}`, reason: step.reason });
          steps.push(step);
        }
        return steps;
      });
      for (const step of written) options.onStep(step);
    },

    async follow(sealingKey) {
      await keyEncryptionKeys.readNew();
      // None is named once the one that was has been given up.
      keyEncryptionKeys.sealWith(sealingKey ?? (await nameFirstSealingKey(database, keyEncryptionKeys.make)));
    },

    async prepare() {
      const sealingKey = await nameFirstSealingKey(database, keyEncryptionKeys.make);
      await keyEncryptionKeys.readNew();
      keyEncryptionKeys.sealWith(sealingKey);
    },
  };
}
