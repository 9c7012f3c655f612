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

const isText = (value: unknown) => typeof value === 'string' && value !== '';
const isTextOrAbsent = (value: unknown) => value === undefined || typeof value === 'string';
const isListOrAbsent = (value: unknown) => value === undefined || isList(value);
const isList = (value: unknown) => Array.isArray(value) && value.every((member) => typeof member === 'string');
const isDate = (value: unknown) => typeof value === 'number' && value >= 0 && Number.isFinite(value);
const isDateOrAbsent = (value: unknown) => value === undefined || isDate(value);
const isEpochOrAbsent = (value: unknown) => value === undefined || (Number.isSafeInteger(value) && Number(value) >= 0);

const decoder = new TextDecoder('utf-8', { fatal: true });

/** The claims that a payload is. Throws `claims_invalid` unless all that are needed are there, and all of their types. */
export function readClaims(payload: Uint8Array): AccessTokenClaims {
  let claims: { readonly [name in keyof AccessTokenClaims]?: unknown };
  try {
    claims = Object(JSON.parse(decoder.decode(payload)));
  } catch (cause) {
    throw new TokenError('claims_invalid', { cause });
  }
  const isGood =
    isText(claims.iss) &&
    isText(claims.sub) &&
    (isText(claims.aud) || isList(claims.aud)) &&
    isText(claims.client_id) &&
    isText(claims.jti) &&
    isDate(claims.iat) &&
    isDate(claims.exp) &&
    isDateOrAbsent(claims.nbf) &&
    isDateOrAbsent(claims.auth_time) &&
    isTextOrAbsent(claims.scope) &&
    isTextOrAbsent(claims.gid) &&
    isTextOrAbsent(claims.csrf) &&
    isListOrAbsent(claims.amr) &&
    isListOrAbsent(claims.roles) &&
    isListOrAbsent(claims.permissions) &&
    isEpochOrAbsent(claims.sub_epoch) &&
    isEpochOrAbsent(claims.client_epoch);
  if (!isGood) throw new TokenError('claims_invalid');
  return claims as AccessTokenClaims;
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
