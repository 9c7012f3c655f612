import type { Client, Resource } from '../protocol/client.ts';
import { ProtocolError } from '../protocol/error.ts';
import { parseScope } from '../protocol/scope.ts';

/** What a grant has proved: who may have tokens, through which client, for what. */
export interface Authorization {
  readonly client: Client;
  /** The `sub` of what is issued: a user's id, or the client's own. */
  readonly subject: string;
  /** The scope that was granted, in full. */
  readonly scope: readonly string[];
  /** Audiences that it may ask for; the first is the default. */
  readonly resources: readonly string[];
}

/** What the client asks for within it (RFC 6749 §3.3, RFC 8707 §2.2). */
export interface Asked {
  readonly scope: string | undefined;
  readonly resources: readonly string[];
}

/** What one access token is issued for. */
export interface Target {
  readonly resource: Resource;
  readonly scope: readonly string[];
}

/**
 * Narrows an authorization to one token: granted ∩ asked ∩ what the resource service knows. Throws `invalid_target`
 * for an audience that is unknown, not allowed or not one alone, `invalid_scope` where nothing of what was asked is left.
 */
export function narrow(
  authorization: Authorization,
  asked: Asked,
  find: (identifier: string) => Resource | undefined,
): Target {
  const [identifier, ...others] = new Set(
    asked.resources.length > 0 ? asked.resources : authorization.resources.slice(0, 1),
  );
  if (others.length > 0) throw new ProtocolError('invalid_target', 'a token is for one resource at a time');
  const resource =
    identifier !== undefined && authorization.resources.includes(identifier) ? find(identifier) : undefined;
  if (resource === undefined) {
    throw new ProtocolError('invalid_target', 'the resource is unknown, or not one that this client may ask for');
  }
  const possible = authorization.scope.filter((token) => Object.hasOwn(resource.scopes, token));
  if (asked.scope === undefined) return { resource, scope: possible };
  const wanted = parseScope(asked.scope);
  const scope = possible.filter((token) => wanted.includes(token));
  if (scope.length === 0) throw new ProtocolError('invalid_scope', 'nothing of the scope asked for can be granted');
  return { resource, scope };
}
