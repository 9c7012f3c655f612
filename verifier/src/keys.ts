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

/** The type of key of each algorithm there is, and the members that make the public half (RFC 7518 §6, 8037, 9964). */
export const algorithms: Readonly<Record<Algorithm, { kty: string; members: readonly (keyof JWK)[] }>> = {
  ES256: { kty: 'EC', members: ['kty', 'crv', 'x', 'y'] },
  RS256: { kty: 'RSA', members: ['kty', 'n', 'e'] },
  PS256: { kty: 'RSA', members: ['kty', 'n', 'e'] },
  Ed25519: { kty: 'OKP', members: ['kty', 'crv', 'x'] },
  'ML-DSA-44': { kty: 'AKP', members: ['kty', 'alg', 'pub'] },
};

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
  for (const given of keys.map((key) => Object(key))) {
    const { kid, use = 'sig' } = given;
    const alg = accepted.find((name) => name === given.alg && algorithms[name].kty === given.kty);
    if (alg === undefined || use !== 'sig' || typeof kid !== 'string' || found.has(kid)) continue;
    try {
      // Its public members alone, whatever else it may bring.
      const jwk: JWK = Object.fromEntries(algorithms[alg].members.map((name) => [name, given[name]]));
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
