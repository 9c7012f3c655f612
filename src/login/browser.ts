/** The browser in which something was begun: a random secret in a cookie, and the CSRF values that hang on it. */
import { createHash, randomBytes } from 'node:crypto';
import { digestSecret, matchesDigest } from '../crypto/handle.ts';

const secretShape = /^[A-Za-z0-9_-]{43}$/;

/** A new secret for a browser that has none. */
export function newBrowserSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** The secret of a cookie; undefined where it cannot be one. */
export function readBrowserSecret(text: string | undefined): string | undefined {
  return text !== undefined && secretShape.test(text) ? text : undefined;
}

/** What is kept of it. */
export const digestBrowserSecret = digestSecret;

/**
 * The value that our own forms carry: it follows from a secret in an HttpOnly cookie, so that who can make a form for
 * that browser cannot know it, and nothing needs to be kept. In a form by which a person decides something it follows
 * from their session too: what one was shown is never confirmed by another who has signed in since.
 */
export function csrfValue(secret: string, sessionId = ''): string {
  return createHash('sha256').update(`csrf\0${secret}\0${sessionId}`).digest('base64url');
}

export function isCsrfValue(value: string | undefined, secret: string | undefined, sessionId = ''): boolean {
  const known = readBrowserSecret(secret);
  return value !== undefined && known !== undefined && matchesDigest(value, csrfValue(known, sessionId));
}
