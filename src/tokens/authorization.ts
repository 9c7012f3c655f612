import { defaultAlg } from '../crypto/algorithms.ts';
import type { Client, Resource } from '../protocol/client.ts';
import { ProtocolError } from '../protocol/error.ts';
import type { Grant } from '../protocol/grant.ts';
import { isIdentityScope, parseScope } from '../protocol/scope.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';

/** The person behind an authorization. */
export interface Behind {
  readonly grant: Grant;
  readonly epoch: number;
  readonly roles: readonly string[];
  /** The SHA-256 of the value without which its tokens, lying in cookies, change nothing. */
  readonly csrf?: string;
  /** The refresh token that comes along, where the client may have one. */
  readonly refresh?: { readonly generation: number; readonly expiresAt: NumericDate };
}

/** What a grant has proved: who may have tokens, through which client, for what. */
export interface Authorization {
  readonly client: Client;
  /** The `sub` of what is issued: a user's id, or the client's own. */
  readonly subject: string;
  /** The scope that was granted, in full. */
  readonly scope: readonly string[];
  /** Audiences that it may ask for; the first is the default. Empty where tokens are for the issuer itself alone. */
  readonly resources: readonly string[];
  /** Undefined where the client acts for itself. */
  readonly behind?: Behind;
}

/** What the client asks for within it (RFC 6749 §3.3, RFC 8707 §2.2). */
export interface Asked {
  readonly scope: string | undefined;
  readonly resources: readonly string[];
}

/** What one access token is issued for. */
export interface Target {
  /** Undefined: for userinfo alone. */
  readonly resource: Resource | undefined;
  readonly alg: string;
  /** Undefined: the issuer's default. */
  readonly accessTtl: Seconds | undefined;
  readonly scope: readonly string[];
}

/**
 * Narrows an authorization to one token: granted ∩ asked ∩ what the resource service knows; the scopes of OpenID Connect
 * are the issuer's own and known everywhere a person is behind it. Throws `invalid_target` for an audience that is
 * unknown, not allowed or not one alone, `invalid_scope` where nothing of what was asked is left.
 */
export function narrow(
  authorization: Authorization,
  asked: Asked,
  find: (identifier: string) => Resource | undefined,
): Target {
  const resource = chooseResource(authorization, asked, find);
  const identity = authorization.behind !== undefined;
  const possible = authorization.scope.filter(
    (token) =>
      (identity && isIdentityScope(token)) || (resource !== undefined && Object.hasOwn(resource.scopes, token)),
  );
  const scope = asked.scope === undefined ? possible : intersect(possible, parseScope(asked.scope));
  if (asked.scope !== undefined && scope.length === 0) {
    throw new ProtocolError('invalid_scope', 'nothing of the scope asked for can be granted');
  }
  return { resource, alg: resource?.alg ?? defaultAlg, accessTtl: resource?.accessTtl ?? undefined, scope };
}

function chooseResource(
  { resources, scope }: Authorization,
  asked: Asked,
  find: (identifier: string) => Resource | undefined,
): Resource | undefined {
  const [identifier, ...others] = new Set(asked.resources.length > 0 ? asked.resources : resources.slice(0, 1));
  if (others.length > 0) throw new ProtocolError('invalid_target', 'a token is for one resource at a time');
  if (identifier === undefined && scope.includes('openid')) return undefined;
  const resource = identifier !== undefined && resources.includes(identifier) ? find(identifier) : undefined;
  if (resource === undefined) {
    throw new ProtocolError('invalid_target', 'the resource is unknown, or not one that this client may ask for');
  }
  return resource;
}

function intersect(tokens: readonly string[], others: readonly string[]): string[] {
  return tokens.filter((token) => others.includes(token));
}
