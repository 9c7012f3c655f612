/** Makes signing keys. */
import { calculateJwkThumbprint } from 'jose';
import { algorithm, generateJwkPair } from '../crypto/algorithms.ts';
import { sealPrivateJwk } from '../crypto/sealing.ts';
import type { PublicJwk, SigningKey } from '../protocol/signing-key.ts';
import type { NumericDate } from '../protocol/time.ts';
import { databaseNow } from '../store/change.ts';
import type { Database } from '../store/database.ts';
import { readIssuerState } from '../store/issuer.ts';
import { changeSigningKeys } from '../store/signing-key.ts';
import type { KeyEncryptionKeys } from './key-encryption-keys.ts';
import type { Schedule } from './lifecycle.ts';

/** A signing key that has no place in time yet. */
export type NewKey = Omit<SigningKey, 'createdAt' | 'signsFrom' | 'revokedAt'>;

/** A new signing key, sealed under the key that the database names. Throws `KeyEncryptionKeyError` where that is not held. */
export async function makeKey(database: Database, held: KeyEncryptionKeys, alg: string): Promise<NewKey> {
  const { sealingKey } = await readIssuerState(database);
  if (sealingKey === null) throw new Error('no key-encryption key is named');
  const sealer = held.get(sealingKey);
  for (;;) {
    const { publicJwk, privateJwk } = await generateJwkPair(alg);
    const kid = await calculateJwkThumbprint(publicJwk);
    // On a command line it would be taken for an option, on a day when nobody has time for that.
    if (kid.startsWith('-')) continue;
    const sealedPrivateJwk = await sealPrivateJwk(privateJwk, sealer);
    return { kid, alg, publicJwk: publicJwk as PublicJwk, sealedPrivateJwk };
  }
}

/**
 * Adds an algorithm to those that have keys: publishes its first one, which signs once every cache must know it; from
 * then on the rotator looks after it as after the others. Answers when that is; undefined where it has keys already.
 */
export async function addAlgorithm(
  database: Database,
  held: KeyEncryptionKeys,
  alg: string,
  schedule: Schedule,
): Promise<NumericDate | undefined> {
  if (algorithm(alg).always) return undefined;
  const key = await makeKey(database, held, alg);
  return changeSigningKeys(database, async (keys, write, tx) => {
    if (keys.some((other) => other.alg === alg)) return undefined;
    const createdAt = await databaseNow(tx);
    const signsFrom = createdAt + schedule.lead;
    await write.insert({ ...key, createdAt, signsFrom, revokedAt: null });
    return signsFrom;
  });
}
