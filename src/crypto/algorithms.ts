/**
 * Owns the list of signature algorithms: one line each. Knows nothing of keys in use, schedules or tokens.
 */
import { exportJWK, generateKeyPair, type JWK } from 'jose';

export interface Algorithm {
  /** The `alg` value (RFC 7518 §3.1). */
  readonly name: string;
  /** The digest that `node:crypto` is to use. */
  readonly hash: 'sha256';
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
  { name: 'ES256', hash: 'sha256', coordinateBytes: 32, batch: 64 },
  { name: 'RS256', hash: 'sha256', modulusLength: 2048, batch: 8 },
];

/** What signs access tokens where a resource service does not say, and what only we verify. */
export const defaultAlg = 'ES256';

/** All algorithms by name. To add one, add a line above. */
export const algorithms: ReadonlyMap<string, Algorithm> = new Map(list.map((algorithm) => [algorithm.name, algorithm]));

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
