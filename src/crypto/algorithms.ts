/**
 * Owns the list of signature algorithms: one line each. Knows nothing of keys in use, schedules or tokens.
 */
import { generateKeyPairSync } from 'node:crypto';
import { exportJWK, generateKeyPair, type JWK } from 'jose';

export interface Algorithm {
  /** The `alg` value: RFC 7518 §3.1; RFC 9864 for those that name their curve; RFC 9964 for ML-DSA. */
  readonly name: string;
  /** The digest that `node:crypto` is to use; null where the signature is over the message itself. */
  readonly hash: 'sha256' | null;
  /** RSASSA-PSS, with a salt as long as the digest (RFC 7518 §3.5). */
  readonly pss?: true;
  /** Has keys from the first start on; any other has them once it is added (`keys add-algorithm`). */
  readonly always?: true;
  /** ECDSA signatures leave OpenSSL as DER and enter a JWS as r ‖ s of this many bytes each (RFC 7518 §3.4). */
  readonly coordinateBytes?: number;
  /** Modulus length of new keys, in bits, for RSA. */
  readonly modulusLength?: number;
  /**
   * How many signatures may be made in a row before the event loop gets its turn: so many that the loop is held for
   * a few milliseconds at the most, and a slow algorithm never keeps a quick one waiting.
   */
  readonly batch: number;
}

const list: Algorithm[] = [
  { name: 'ES256', hash: 'sha256', coordinateBytes: 32, batch: 64, always: true },
  { name: 'RS256', hash: 'sha256', modulusLength: 2048, batch: 8, always: true },
  { name: 'PS256', hash: 'sha256', modulusLength: 2048, pss: true, batch: 8 },
  { name: 'Ed25519', hash: null, batch: 64 },
  ...(runtimeHas('ml-dsa-44') ? [{ name: 'ML-DSA-44', hash: null, batch: 8 }] : []),
];

/** Whether this Node knows a kind of key: ML-DSA came with 24.6 and OpenSSL 3.5. */
function runtimeHas(keyType: string): boolean {
  try {
    generateKeyPairSync(keyType as 'ed25519');
    return true;
  } catch {
    return false;
  }
}

/** What signs access tokens where a resource service does not say, and what only we verify. */
export const defaultAlg = 'ES256';

/** All algorithms by name. To add one, add a line above. */
export const algorithms: ReadonlyMap<string, Algorithm> = new Map(list.map((algorithm) => [algorithm.name, algorithm]));

/** The names of the algorithms that have keys, or are to have them: those that always do, and those of these keys. */
export function algorithmsInUse(keys: readonly { readonly alg: string }[]): string[] {
  return list.filter(({ name, always }) => always || keys.some(({ alg }) => alg === name)).map(({ name }) => name);
}

/** The algorithm of that name; a name that is not in the list is a mistake of the caller, not of a user. */
export function algorithm(name: string): Algorithm {
  const found = algorithms.get(name);
  if (found === undefined) throw new Error(`no such signature algorithm: ${name}`);
  return found;
}

/** A new key pair as JWKs. The work is done off the event loop (an RSA key takes up to a second). */
export async function generateJwkPair(name: string): Promise<{ publicJwk: JWK; privateJwk: JWK }> {
  const { modulusLength } = algorithm(name);
  const options = { extractable: true, ...(modulusLength !== undefined && { modulusLength }) };
  const { publicKey, privateKey } = await generateKeyPair(name, options);
  return { publicJwk: await exportJWK(publicKey), privateJwk: await exportJWK(privateKey) };
}
