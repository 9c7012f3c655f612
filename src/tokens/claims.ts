/** The claims that may appear in a token: this list, and nothing else. */
import type { NumericDate } from '../protocol/time.ts';

/** The claims of an access token (RFC 9068 §2.2) and our own private ones. Absent ones are `undefined`. */
export interface AccessTokenClaims {
  iss: string;
  sub: string;
  aud: string;
  client_id: string;
  iat: NumericDate;
  exp: NumericDate;
  jti: string;
  scope: string | undefined;
  /** The client's epoch, absent while 0: a token of a lower epoch than the client's is void. */
  client_epoch: number | undefined;
}

/**
 * What is signed: the listed claims one by one, so that a property that is not in the list cannot come along, whatever
 * object it is on.
 */
export function accessTokenPayload(claims: AccessTokenClaims): AccessTokenClaims {
  return {
    iss: claims.iss,
    sub: claims.sub,
    aud: claims.aud,
    client_id: claims.client_id,
    iat: claims.iat,
    exp: claims.exp,
    jti: claims.jti,
    scope: claims.scope,
    client_epoch: claims.client_epoch,
  };
}
