import type { AccessTokenClaims } from './claims.ts';
import { secretDigest } from './digest.ts';
import { TokenError } from './error.ts';

/**
 * For a token that came in a cookie, on every call that changes something: throws `csrf_mismatch` unless the value of
 * the `X-CSRF-Token` header is the one that belongs to the token. A token that belongs to none is refused.
 */
export function checkCsrf(claims: Pick<AccessTokenClaims, 'csrf'>, header: string | null | undefined): void {
  const expected = claims.csrf;
  const isOne = typeof header === 'string' && header.length <= longest;
  const fits = isOne && expected !== undefined && isEqual(secretDigest(header), expected);
  if (!fits) throw new TokenError('csrf_mismatch');
}

/** Far longer than any value that was given out: no more is worth a digest. */
const longest = 1_024;

/** In a time that does not depend on where they differ. */
function isEqual(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let at = 0; at < a.length; at += 1) difference |= a.charCodeAt(at) ^ b.charCodeAt(at);
  return difference === 0;
}
