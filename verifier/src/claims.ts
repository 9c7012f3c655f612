/** What an access token says, and what a service can ask of it. */
import { TokenError } from './error.ts';

/** The claims of an access token (RFC 9068 §2.2, and Keyturn's own), each checked for its type. Dates are seconds since 1970. */
export interface AccessTokenClaims {
  readonly iss: string;
  /** The user, or for a machine's token the client. */
  readonly sub: string;
  readonly aud: string | readonly string[];
  readonly client_id: string;
  readonly iat: number;
  readonly exp: number;
  readonly nbf?: number;
  readonly jti: string;
  /** Scopes, separated by single spaces. */
  readonly scope?: string;
  /** When the user signed in. */
  readonly auth_time?: number;
  readonly amr?: readonly string[];
  readonly roles?: readonly string[];
  readonly permissions?: readonly string[];
  /** The digest of the grant that it comes from. */
  readonly gid?: string;
  readonly sub_epoch?: number;
  readonly client_epoch?: number;
  /** SHA-256, base64url, of the value that changing calls send beside a token from a cookie. */
  readonly csrf?: string;
}

/** Throws `scope_missing` unless the token has every one of these scopes. */
export function requireScope(claims: Pick<AccessTokenClaims, 'scope'>, ...names: string[]): void {
  const granted = claims.scope?.split(' ') ?? [];
  if (!names.every((name) => granted.includes(name))) throw new TokenError('scope_missing', { scope: names.join(' ') });
}

/** Throws `role_missing` unless the user has every one of these roles. */
export function requireRole(claims: Pick<AccessTokenClaims, 'roles'>, ...names: string[]): void {
  if (!names.every((name) => claims.roles?.includes(name))) throw new TokenError('role_missing');
}

/** Throws `permission_missing` unless the user has every one of these permissions. */
export function requirePermission(claims: Pick<AccessTokenClaims, 'permissions'>, ...names: string[]): void {
  if (!names.every((name) => claims.permissions?.includes(name))) throw new TokenError('permission_missing');
}
