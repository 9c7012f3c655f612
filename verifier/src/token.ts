/** The form of an access token: a compact JWS (RFC 7515 §7.1) in its one right spelling. */
import { base64url } from 'jose';
import { TokenError } from './error.ts';
import { parseObject } from './http.ts';

export interface TokenHeader {
  readonly kid: string;
  /** What the token says of itself: the key has the last word. */
  readonly alg: unknown;
}

/** No token of the issuer is longer. */
const longest = 16_384;

const form = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** Signs that may stand last, by how many remain of groups of four: those whose surplus bits are zero (RFC 4648 §3.5). */
const last = ['', undefined, 'AQgw', 'AEIMQUYcgkosw048'] as const;

const decoder = new TextDecoder('utf-8', { fatal: true });

/** The first part of a token, not decoded. Throws `token_malformed` for what is no token, or another spelling of one. */
export function headerOf(token: string): string {
  if (typeof token !== 'string' || token.length > longest || !form.test(token)) throw new TokenError('token_malformed');
  const first = token.indexOf('.');
  const second = token.indexOf('.', first + 1);
  if (!isCanonical(token, 0, first) || !isCanonical(token, first + 1, second) || !isCanonical(token, second + 1))
    throw new TokenError('token_malformed');
  return token.slice(0, first);
}

/** Whether a part is base64url with nothing in its last sign that decoding would drop. */
function isCanonical(token: string, start: number, end = token.length): boolean {
  const allowed = last[(end - start) & 3];
  return allowed === '' || allowed?.includes(token.charAt(end - 1)) === true;
}

/** Throws unless it is the header of an access token (RFC 9068 §2.1) that asks for nothing we do not know. */
export function readHeader(encoded: string): TokenHeader {
  let header: Record<string, unknown>;
  try {
    header = parseObject(decoder.decode(base64url.decode(encoded)));
  } catch (cause) {
    throw new TokenError('token_malformed', { cause });
  }
  const { kid, alg, typ, crit } = header;
  // No extension is known here, so none may be critical (RFC 7515 §4.1.11); b64 is one (RFC 7797 §6).
  if (crit !== undefined || 'b64' in header || typeof kid !== 'string') throw new TokenError('token_malformed');
  if (typeof typ !== 'string' || !/^(application\/)?at\+jwt$/i.test(typ)) throw new TokenError('type_mismatch');
  return { kid, alg };
}
