import { type AccessTokenClaims, requirePermission, requireRole, requireScope } from './claims.ts';

/** What a token has to have: all of what is listed. */
export interface Requirement {
  /** In a list, or separated by spaces. */
  readonly scope?: string | readonly string[];
  readonly role?: string | readonly string[];
  readonly permission?: string | readonly string[];
}

const checks = { scope: requireScope, role: requireRole, permission: requirePermission };

/**
 * What throws a `TokenError` for claims that do not meet it. Throws a `TypeError` for a requirement that cannot be meant:
 * one that was misspelt, or is empty, would let everybody in.
 */
export function readRequirement(requirement: Requirement = {}): (claims: AccessTokenClaims) => void {
  const required = Object.entries(requirement).map(([kind, value]: [string, unknown]) => {
    if (!Object.hasOwn(checks, kind)) throw new TypeError(`a token cannot be required to have a ${kind}`);
    const listed = kind === 'scope' && typeof value === 'string' ? value.split(' ') : [value].flat();
    // What scopes are made of (RFC 6749 §3.3) is fit for a header.
    const form = kind === 'scope' ? /^[\x21\x23-\x5b\x5d-\x7e]+$/ : /./;
    const names = listed.filter((name): name is string => typeof name === 'string' && form.test(name));
    if (names.length === 0 || names.length < listed.length)
      throw new TypeError(`the required ${kind} must be a name or several`);
    return [kind as keyof typeof checks, names] as const;
  });
  return (claims) => {
    for (const [kind, names] of required) checks[kind](claims, ...names);
  };
}
