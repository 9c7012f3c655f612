/**
 * Owns the making of tokens: the one place where claims become a signed token. Knows nothing of HTTP, of grants, or
 * of where keys are kept. Issuing writes nothing and asks the database nothing.
 */
import { randomUUID } from 'node:crypto';
import type { Keyring } from '../keys/keyring.ts';
import { formatScope } from '../protocol/scope.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { Authorization, Target } from './authorization.ts';
import { accessTokenPayload } from './claims.ts';

/** An access token and what the token response says of it (RFC 6749 §5.1). */
export interface AccessToken {
  readonly token: string;
  readonly jti: string;
  readonly expiresIn: Seconds;
  readonly scope: string;
}

export interface Mint {
  /** Issues an access token (RFC 9068). Throws `temporarily_unavailable` while no key signs. */
  accessToken(authorization: Authorization, target: Target): Promise<AccessToken>;
}

export interface MintOptions {
  readonly issuer: string;
  readonly keyring: Keyring;
  /** Life of an access token where the resource service does not say. */
  readonly accessTokenTtl: Seconds;
  now(): NumericDate;
}

export function createMint({ issuer, keyring, accessTokenTtl, now }: MintOptions): Mint {
  return {
    async accessToken({ client, subject }, { resource, scope }) {
      const expiresIn = resource.accessTtl ?? accessTokenTtl;
      const issuedAt = now();
      const claims = accessTokenPayload({
        iss: issuer,
        sub: subject,
        aud: resource.identifier,
        client_id: client.id,
        iat: issuedAt,
        exp: issuedAt + expiresIn,
        jti: randomUUID(),
        scope: scope.length > 0 ? formatScope(scope) : undefined,
        client_epoch: client.epoch > 0 ? client.epoch : undefined,
      });
      const token = await keyring.sign(resource.alg, 'at+jwt', claims);
      return { token, jti: claims.jti, expiresIn, scope: formatScope(scope) };
    },
  };
}
