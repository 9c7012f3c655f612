/** The claims that may appear in a token: these lists, and nothing else. */
import type { NumericDate, Seconds } from '../protocol/time.ts';

/** The claims of an access token: RFC 9068 §2.2, and our own private ones. Those that say nothing are `undefined`. */
export interface AccessTokenClaims {
  iss: string;
  sub: string;
  /** One audience as a string, several as a list. */
  aud: string | readonly string[];
  client_id: string;
  iat: NumericDate;
  exp: NumericDate;
  jti: string;
  scope: string | undefined;
  auth_time: NumericDate | undefined;
  amr: readonly string[] | undefined;
  roles: readonly string[] | undefined;
  permissions: readonly string[] | undefined;
  /** The digest of the grant it comes from: a revocation names it. */
  gid: string | undefined;
  /** The user's epoch, absent while 0: a token of a lower epoch than the user's is void. */
  sub_epoch: number | undefined;
  /** The same of the client. */
  client_epoch: number | undefined;
  /** The SHA-256 of the value that changing calls must send beside a token from a cookie. */
  csrf: string | undefined;
}

/** The claims of an ID token (OpenID Connect Core §2). Those that say nothing are `undefined`. */
export interface IdTokenClaims {
  iss: string;
  sub: string;
  aud: string;
  iat: NumericDate;
  exp: NumericDate;
  auth_time: NumericDate;
  nonce: string | undefined;
  amr: readonly string[] | undefined;
  sid: string | undefined;
}

/** The claims of a refresh token: read by us alone. */
export interface RefreshTokenClaims {
  iss: string;
  /** The issuer: nobody else takes it for anything. */
  aud: string;
  sub: string;
  client_id: string;
  iat: NumericDate;
  exp: NumericDate;
  /** The grant, by its name: who holds the token holds the grant. */
  gid: string;
  /** The generation that this token redeems. */
  gen: number;
  /** As in the access token beside which it lies in a cookie. */
  csrf: string | undefined;
}

/** The claims of a logout token (OpenID Connect Back-Channel Logout §2.4). */
export interface LogoutTokenClaims {
  iss: string;
  sub: string;
  aud: string;
  iat: NumericDate;
  exp: NumericDate;
  jti: string;
  sid: string | undefined;
  events: { 'http://schemas.openid.net/event/backchannel-logout': Record<string, never> };
}

/** A subject (RFC 9493): a person of ours, or a name that says nothing elsewhere. */
export type SubjectIdentifier =
  | { readonly format: 'iss_sub'; readonly iss: string; readonly sub: string }
  | { readonly format: 'opaque'; readonly id: string };

/** The claims of a security event token (RFC 8417 §2.2). No `exp`: what has happened stays so. No `sub`: it is no login. */
export interface SecurityEventClaims {
  iss: string;
  aud: string;
  iat: NumericDate;
  jti: string;
  /** When it happened. */
  toe: NumericDate;
  /** Whom or what it is about (RFC 9493 §4.1). */
  sub_id: SubjectIdentifier;
  /** One event, by the URI of its rule. */
  events: Readonly<Record<string, SuspicionEvent>>;
}

/** Our own events. Those that say nothing are `undefined`. */
export interface SuspicionEvent {
  /** What was seen, in words. */
  reason: string;
  client_id: string | undefined;
  /** The digest of the grant, as in its access tokens. */
  gid: string | undefined;
  /** An IP address. */
  address: string | undefined;
  /** How much was counted, */
  count: number | undefined;
  /** in how many seconds. */
  window: Seconds | undefined;
}

/**
 * What is signed: the listed claims one by one, so that a property that is not in the list cannot come along, whatever
 * object it is on.
 */
export function accessTokenPayload(claims: AccessTokenClaims): AccessTokenClaims {
  const { iss, sub, aud, client_id, iat, exp, jti, scope, auth_time, amr, roles, permissions } = claims;
  const { gid, sub_epoch, client_epoch, csrf } = claims;
  return {
    iss,
    sub,
    aud,
    client_id,
    iat,
    exp,
    jti,
    scope,
    auth_time,
    amr,
    roles,
    permissions,
    gid,
    sub_epoch,
    client_epoch,
    csrf,
  };
}

/** The same for an ID token. */
export function idTokenPayload({ iss, sub, aud, iat, exp, auth_time, nonce, amr, sid }: IdTokenClaims): IdTokenClaims {
  return { iss, sub, aud, iat, exp, auth_time, nonce, amr, sid };
}

/** The same for a refresh token. */
export function refreshTokenPayload(claims: RefreshTokenClaims): RefreshTokenClaims {
  const { iss, aud, sub, client_id, iat, exp, gid, gen, csrf } = claims;
  return { iss, aud, sub, client_id, iat, exp, gid, gen, csrf };
}

/** The same for a logout token. */
export function logoutTokenPayload(claims: LogoutTokenClaims): LogoutTokenClaims {
  const { iss, sub, aud, iat, exp, jti, sid, events } = claims;
  return { iss, sub, aud, iat, exp, jti, sid, events };
}

/** The same for a security event token. */
export function securityEventPayload(claims: SecurityEventClaims): SecurityEventClaims {
  const { iss, aud, iat, jti, toe, sub_id, events } = claims;
  return { iss, aud, iat, jti, toe, sub_id, events };
}
