import { ProtocolError } from './error.ts';

const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]+$/;

/** Whether a text is one scope-token (RFC 6749 §3.3). */
export function isScopeToken(text: string): boolean {
  return scopeToken.test(text);
}

/**
 * The scope-tokens of a `scope` parameter, each once, in the order given (RFC 6749 §3.3: single spaces between, none
 * around). Throws `invalid_scope` for anything else.
 */
export function parseScope(text: string): string[] {
  const tokens = text.split(' ');
  if (!tokens.every(isScopeToken)) {
    throw new ProtocolError('invalid_scope', 'scope must be a list of scope tokens with single spaces between');
  }
  return [...new Set(tokens)];
}

/** A list of scope-tokens as a parameter or claim writes it. */
export function formatScope(tokens: readonly string[]): string {
  return tokens.join(' ');
}

/** The scopes of OpenID Connect (Core §3.1.2.1, §5.4, §11): the issuer's own, of no resource service. */
export const identityScopes = ['openid', 'profile', 'email', 'offline_access'] as const;

export function isIdentityScope(token: string): boolean {
  return (identityScopes as readonly string[]).includes(token);
}
