/** What values may look like that an administrator gives, and how to say so. */
import { algorithms, algorithmsInUse } from '../crypto/algorithms.ts';
import { grantTypes } from '../grants/index.ts';
import { clientAuthMethods } from '../protocol/client.ts';
import { isRegistrableRedirectUri, isRegistrableWebUri } from '../protocol/redirect-uri.ts';
import { isResourceIndicator } from '../protocol/resource-indicator.ts';
import { isScopeToken } from '../protocol/scope.ts';
import type { Seconds } from '../protocol/time.ts';
import { foldEmail } from '../protocol/user.ts';

/** A kind of text. */
export interface TextValue {
  accepts(text: string): boolean;
  /** Completes a sentence that begins with what the value is called. */
  readonly says: string;
}

/** More than anybody has of anything; a token that named them all would fit in no header. */
export const mostValues = 100;

/** The longest life that a resource service may ask for: keys and revocations are kept for as long. */
export const longestAccessTtl: Seconds = 86_400;

/** The longest time for which the secret before the last may stay good. */
export const longestOverlap: Seconds = 30 * 86_400;

/** One of a few words. */
function oneOf(words: Iterable<string>): TextValue & { readonly words: readonly string[] } {
  const allowed = [...words];
  return { words: allowed, accepts: (text) => allowed.includes(text), says: `must be one of ${allowed.join(', ')}` };
}

export const alg = oneOf(algorithms.keys());
/** For ID tokens: what every client library knows. */
export const idTokenAlg = oneOf(algorithmsInUse([]));
export const grantType = oneOf(grantTypes.keys());
export const authMethod = oneOf(clientAuthMethods);

/** A redirect URI (RFC 6749 §3.1.2, RFC 8252 §7). */
export const redirectUri: TextValue = {
  accepts: isRegistrableRedirectUri,
  says: 'must be an https URI, an http one on this machine, or one of an app (com.example.app:/path), without a fragment',
};

/** A URI that we call ourselves. */
export const webUri: TextValue = {
  accepts: isRegistrableWebUri,
  says: 'must be an https URI, or an http one on this machine, without a fragment',
};

/** A web origin, as browsers write it. */
export const origin: TextValue = {
  accepts: (text) => isRegistrableWebUri(text) && new URL(text).origin === text,
  says: 'must be a web origin such as https://app.example, without a path',
};

/** A domain for cookies: at least two labels, so that it is nobody's top-level domain. */
export const cookieDomain: TextValue = {
  accepts: (text) => text.length <= 253 && /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/.test(text),
  says: 'must be a domain such as example.org, in small letters',
};

/** An audience URI (RFC 8707 §2). */
export const audience: TextValue = {
  accepts: isResourceIndicator,
  says: 'must be an absolute URI without a fragment, such as https://orders.example',
};

/** A scope token (RFC 6749 §3.3). */
export const scopeToken: TextValue = {
  accepts: (text) => isScopeToken(text) && text.length <= 128,
  says: 'must be one scope token: printable ASCII without spaces, quotes and backslashes',
};

/** Scope tokens with a space between, each once. */
export const scope: TextValue = {
  accepts: (text) => {
    const tokens = text.split(' ');
    return text === '' || (tokens.every(scopeToken.accepts) && new Set(tokens).size === tokens.length);
  },
  says: 'must be scope tokens with one space between, each once',
};

/** Words for people. */
export const name: TextValue = {
  accepts: (text) =>
    text.length >= 1 &&
    text.length <= 200 &&
    text.trim() === text &&
    !/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_C}]/u.test(text),
  says: 'must be 1 to 200 characters without control characters or spaces around',
};

/** Names of roles and permissions stand in tokens, and side by side in lists: short, and without spaces. */
export const roleName: TextValue = {
  accepts: (text) => /^[\x21-\x7e]{1,64}$/.test(text),
  says: 'must be 1 to 64 printable ASCII characters without spaces',
};

/** A description of a scope, which may be missing. */
export const description: TextValue = {
  accepts: (text) => text === '' || name.accepts(text),
  says: `${name.says}, or nothing`,
};

export const email: TextValue = {
  accepts: (text) => foldEmail(text) !== undefined,
  says: 'must be an e-mail address, such as ada@example.com',
};

export const sessionId: TextValue = {
  accepts: (text) => /^session_[a-z2-9]{16}$/.test(text),
  says: 'must be a session id, such as session_k3v9…',
};

export const tokenId: TextValue = {
  accepts: (text) => /^[\x21-\x7e]{1,200}$/.test(text),
  says: 'must be the jti of an access token',
};

export const grantId: TextValue = {
  accepts: (text) => /^[\w-]{1,100}$/.test(text),
  says: 'must be the gid of a refresh token',
};

/** What a caller chooses to name a request by, so that it may be repeated. */
export const idempotencyKey: TextValue = {
  accepts: (text) => /^[\x21-\x7e]{8,255}$/.test(text),
  says: 'must be 8 to 255 printable ASCII characters without spaces',
};
