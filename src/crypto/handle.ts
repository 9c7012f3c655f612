/**
 * Owns the names and secrets that we make up: ids typed by a prefix, secrets of 256 random bits, and the digests in
 * which alone a secret is kept. Knows nothing of what they are for.
 */
import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

const alphabet = 'abcdefghijkmnpqrstuvwxyz23456789'; // 32 signs, none that people mix up (l, o, 0, 1)

/** A new id: the kind, an underscore, and 80 random bits that can be read aloud: `client_k3v9…`. */
export function newId(kind: string): string {
  return spell(kind, randomBytes(16));
}

/** The id that a text stands for, always the same: for what may be asked for twice and is to be made once. */
export function idFrom(kind: string, text: string): string {
  return spell(kind, hash('sha256', text, 'buffer').subarray(0, 16));
}

function spell(kind: string, bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += alphabet[byte & 31];
  return `${kind}_${text}`;
}

/** A new secret: a prefix that scanners for leaked secrets can find, and 256 random bits. */
export function newSecret(prefix: string): string {
  return `${prefix}_${randomBytes(32).toString('base64url')}`;
}

/**
 * What is kept of a generated secret: its SHA-256, base64url. A slow hash would add nothing to 256 random bits
 * (they cannot be guessed) and would cost each token request dearly.
 */
export function digestSecret(secret: string): string {
  return hash('sha256', secret, 'base64url');
}

/** Whether a digest is that of the secret, in a time that does not depend on where they differ. */
export function matchesDigest(presentedDigest: string, keptDigest: string): boolean {
  const presented = Buffer.from(presentedDigest);
  const kept = Buffer.from(keptDigest);
  return presented.length === kept.length && timingSafeEqual(presented, kept);
}
