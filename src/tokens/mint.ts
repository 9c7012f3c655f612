/**
 * Owns the making of tokens: the one place where claims become a signed token. Knows nothing of HTTP, of grants, or
 * of where keys are kept. Issuing writes nothing and asks the database nothing.
 */
import { randomUUID } from 'node:crypto';
import { revocationDigest } from '@keyturn/verifier/denylist';
import { defaultAlg } from '../crypto/algorithms.ts';
import type { Keyring } from '../keys/keyring.ts';
import { formatScope } from '../protocol/scope.ts';
import type { Suspicion } from '../protocol/suspicion.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { Authorization, Behind, Target } from './authorization.ts';
import {
  accessTokenPayload,
  idTokenPayload,
  logoutTokenPayload,
  refreshTokenPayload,
  type SubjectIdentifier,
  securityEventPayload,
} from './claims.ts';

/** An access token and what the token response says of it (RFC 6749 §5.1). */
export interface AccessToken {
  readonly token: string;
  readonly jti: string;
  readonly expiresIn: Seconds;
  readonly scope: string;
}

/** A sign-out that a client is told of. */
export interface SignOut {
  readonly clientId: string;
  readonly alg: string;
  readonly subject: string;
  readonly sid: string | undefined;
}

export interface Mint {
  /** Issues an access token (RFC 9068). Throws `temporarily_unavailable` while no key signs. */
  accessToken(authorization: Authorization, target: Target): Promise<AccessToken>;
  /** Issues an ID token (OpenID Connect Core §2) for the person behind an authorization. */
  idToken(authorization: Authorization, behind: Behind): Promise<string>;
  /** Issues the refresh token of a generation (`rt+jwt`). */
  refreshToken(authorization: Authorization, behind: Behind, refresh: NonNullable<Behind['refresh']>): Promise<string>;
  /** Issues a logout token (OpenID Connect Back-Channel Logout §2.4). */
  logoutToken(signOut: SignOut): Promise<string>;
  /** Issues a security event token (RFC 8417) about a suspicion, always the same for the same one. */
  securityEvent(event: SecurityEvent): Promise<string>;
}

/** A suspicion that somebody is told of. */
export interface SecurityEvent {
  readonly id: string;
  readonly at: NumericDate;
  readonly audience: string;
  readonly suspicion: Suspicion;
}

export interface MintOptions {
  readonly issuer: string;
  readonly keyring: Keyring;
  /** Life of an access token where the resource service does not say. */
  readonly accessTokenTtl: Seconds;
  /** What roles permit, by the list of roles. */
  permissionsOf(roles: readonly string[]): readonly string[];
  now(): NumericDate;
}

/** Life of an ID token: it is read once, when it comes; a few minutes are for clocks. */
const idTokenTtl: Seconds = 600;

const logoutTokenTtl: Seconds = 120;

/** Only we verify them, so the quickest to sign. */
export const refreshTokenAlg = 'ES256';

export function createMint({ issuer, keyring, accessTokenTtl, permissionsOf, now }: MintOptions): Mint {
  function audience({ resource, scope }: Target): string | string[] {
    if (resource === undefined) return issuer;
    return scope.includes('openid') ? [resource.identifier, issuer] : resource.identifier;
  }

  /** The person, or else the client; an address where neither is known. */
  function subjectOf({ userId, clientId, target }: Suspicion): SubjectIdentifier {
    if (userId !== undefined) return { format: 'iss_sub', iss: issuer, sub: userId };
    return { format: 'opaque', id: clientId ?? target.replace(/^address /, '') };
  }

  return {
    async accessToken({ client, subject, behind }, target) {
      const { resource, scope, alg } = target;
      const expiresIn = target.accessTtl ?? accessTokenTtl;
      const issuedAt = now();
      // Roles go only to a resource service that knows the scope that asks for them.
      const asksFor = (token: string) => resource !== undefined && scope.includes(token) && behind !== undefined;
      const claims = accessTokenPayload({
        iss: issuer,
        sub: subject,
        aud: audience(target),
        client_id: client.id,
        iat: issuedAt,
        exp: issuedAt + expiresIn,
        jti: randomUUID(),
        scope: scope.length > 0 ? formatScope(scope) : undefined,
        auth_time: behind?.grant.authTime,
        amr: behind?.grant.amr,
        roles: asksFor('roles') ? unlessEmpty(behind?.roles) : undefined,
        permissions: asksFor('permissions') ? unlessEmpty(permissionsOf(behind?.roles ?? [])) : undefined,
        gid: behind && revocationDigest('grant', behind.grant.id),
        sub_epoch: behind !== undefined && behind.epoch > 0 ? behind.epoch : undefined,
        client_epoch: client.epoch > 0 ? client.epoch : undefined,
        csrf: behind?.csrf,
      });
      const token = await keyring.sign(alg, 'at+jwt', claims);
      return { token, jti: claims.jti, expiresIn, scope: formatScope(scope) };
    },

    async idToken({ client, subject }, { grant }) {
      const issuedAt = now();
      const claims = idTokenPayload({
        iss: issuer,
        sub: subject,
        aud: client.id,
        iat: issuedAt,
        exp: issuedAt + idTokenTtl,
        auth_time: grant.authTime,
        nonce: grant.nonce ?? undefined,
        amr: grant.amr,
        sid: grant.sid ?? undefined,
      });
      return keyring.sign(client.idTokenAlg, 'JWT', claims);
    },

    async refreshToken({ client, subject }, { grant, csrf }, { generation, expiresAt }) {
      const claims = refreshTokenPayload({
        iss: issuer,
        aud: issuer,
        sub: subject,
        client_id: client.id,
        iat: now(),
        exp: expiresAt,
        gid: grant.id,
        gen: generation,
        csrf,
      });
      return keyring.sign(refreshTokenAlg, 'rt+jwt', claims);
    },

    async logoutToken({ clientId, alg, subject, sid }) {
      const issuedAt = now();
      const claims = logoutTokenPayload({
        iss: issuer,
        sub: subject,
        aud: clientId,
        iat: issuedAt,
        exp: issuedAt + logoutTokenTtl,
        jti: randomUUID(),
        sid,
        events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
      });
      return keyring.sign(alg, 'logout+jwt', claims);
    },

    async securityEvent({ id, at, audience: aud, suspicion }) {
      const { rule, reason, clientId, grantId, address, count, window } = suspicion;
      const gid = grantId && revocationDigest('grant', grantId);
      const event = { reason, client_id: clientId, gid, address: address ?? undefined, count, window };
      const claims = securityEventPayload({
        iss: issuer,
        aud,
        iat: at,
        jti: id,
        toe: at,
        sub_id: subjectOf(suspicion),
        events: { [`${issuer}/events/${rule}`]: event },
      });
      return keyring.sign(defaultAlg, 'secevent+jwt', claims);
    },
  };
}

/** A claim that says nothing is left out. */
function unlessEmpty(list: readonly string[] | undefined): readonly string[] | undefined {
  return list?.length === 0 ? undefined : list;
}
