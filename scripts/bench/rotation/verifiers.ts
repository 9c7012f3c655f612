/** Verifiers as services have them: each knows the issuer's URL and nothing else, and runs all the time. */
import { createVerifier, TokenError } from '@keyturn/verifier';
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';
import jsonwebtoken from 'jsonwebtoken';
import jwksClient from 'jwks-rsa';
import { times } from './fleet.ts';

/** `no JWKS`: it could not be fetched just then, which says nothing about the token. */
export type Verdict = 'good' | 'unknown kid' | 'revoked' | 'no JWKS' | string;

export interface RunningVerifier {
  readonly name: string;
  verify(token: string, kid: string): Promise<Verdict>;
  close(): Promise<void>;
}

export function createVerifiers(issuer: string, audience: [string, string]): RunningVerifier[] {
  const jwks = new URL(`${issuer}/.well-known/jwks.json`);
  // As strict as can be: it caches for the max-age, and an unknown kid never makes it fetch.
  const remote = createRemoteJWKSet(jwks, { cacheMaxAge: times.jwksMaxAge * 1000, cooldownDuration: 3_600_000 });
  const rsa = jwksClient({ jwksUri: jwks.href, cache: true, cacheMaxAge: times.jwksMaxAge * 1000, timeout: 5_000 });
  const own = createVerifier({ issuer, audience });
  return [
    {
      name: 'jose',
      verify: (token) =>
        verdict(() => jwtVerify(token, remote, { issuer, audience, typ: 'at+jwt', clockTolerance: 1 })),
      close: async () => undefined,
    },
    {
      name: 'jwks-rsa',
      verify: (token, kid) =>
        verdict(async () => {
          const key = await rsa.getSigningKey(kid);
          const options = { algorithms: ['ES256' as const, 'RS256' as const], issuer, audience, clockTolerance: 1 };
          jsonwebtoken.verify(token, key.getPublicKey(), options);
        }),
      close: async () => undefined,
    },
    { name: '@keyturn/verifier', verify: (token) => verdict(() => own.verify(token)), close: () => own.close() },
  ];
}

async function verdict(verify: () => Promise<unknown>): Promise<Verdict> {
  try {
    await verify();
    return 'good';
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) return 'unknown kid';
    if ((error as Error).name === 'SigningKeyNotFoundError') return 'unknown kid';
    if (error instanceof TokenError && error.code === 'key_unknown') return 'unknown kid';
    if (error instanceof TokenError && error.code === 'token_revoked') return 'revoked';
    if (isTransport(error as Error)) return 'no JWKS';
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
}

/** A connection that broke, as those to an instance that is killed, or an answer of 503. */
function isTransport(error: Error): boolean {
  if (error instanceof TokenError) return error.code === 'keys_unavailable';
  if (error instanceof errors.JWKSTimeout) return true;
  return /fetch failed|socket hang up|ECONNRE|Expected 200 OK|Http Error|Service Unavailable|timeout/i.test(
    error.message,
  );
}
