/** The issuer's public keys (RFC 7517): which there are, and what each is for. */
import { importJWK, type JWK } from 'jose';
import { type Clocks, createKeptDocument, type KeptDocument } from './document.ts';
import { type Http, parseObject } from './http.ts';
import type { Metadata } from './metadata.ts';
import type { Algorithm } from './options.ts';

export interface VerificationKey {
  readonly key: CryptoKey;
  /** The one algorithm that it is for, as jose takes it. */
  readonly options: { readonly algorithms: [Algorithm] };
}

/** By `kid`. */
export type VerificationKeys = ReadonlyMap<string, VerificationKey>;

/** The type of key (RFC 7518 §6.1) of each algorithm there is. */
export const algorithms: Readonly<Record<Algorithm, 'EC' | 'RSA'>> = { ES256: 'EC', RS256: 'RSA' };

const largest = 1_000_000;
const shortestModulus = 2048;

export function createKeys(
  metadata: KeptDocument<Metadata>,
  accepted: readonly Algorithm[],
  http: Http,
  clocks: Clocks,
): KeptDocument<VerificationKeys> {
  return createKeptDocument({
    clocks,
    maxAge: 600,
    async load(anew) {
      const { jwksUri } = await metadata.get();
      const { text, headers } = await http.get(jwksUri, largest, anew ? { 'cache-control': 'no-cache' } : {});
      return { value: await readKeys(parseObject(text), accepted), headers };
    },
  });
}

/** The keys of a set; those that are for anything else are left out. Throws for what is no set of keys. */
async function readKeys({ keys }: Record<string, unknown>, accepted: readonly Algorithm[]): Promise<VerificationKeys> {
  if (!Array.isArray(keys)) throw new Error('not a JSON Web Key Set');
  const found = new Map<string, VerificationKey>();
  for (const { kid, alg, kty, use, crv, x, y, n, e } of keys.map((key) => Object(key))) {
    const isOurs = accepted.includes(alg) && algorithms[alg as Algorithm] === kty && (use ?? 'sig') === 'sig';
    if (!isOurs || typeof kid !== 'string' || found.has(kid)) continue;
    try {
      // Its public members alone, whatever else it may bring.
      const jwk: JWK = kty === 'EC' ? { kty, crv, x, y } : { kty, n, e };
      const key = await importJWK(jwk, alg);
      if (key instanceof Uint8Array) continue;
      const { modulusLength = shortestModulus } = key.algorithm as Partial<RsaHashedKeyAlgorithm>;
      if (modulusLength >= shortestModulus) found.set(kid, { key, options: { algorithms: [alg] } });
    } catch {
      // A key that is none is none of those that verify.
    }
  }
  return found;
}
