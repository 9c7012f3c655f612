/** Authorization codes: `code_<grant id>.<secret>`, of which the digest is kept. */
import { randomBytes } from 'node:crypto';
import { digestSecret } from './handle.ts';

export interface Code {
  readonly grantId: string;
  /** What is kept of the secret. */
  readonly digest: string;
}

const shape = /^code_([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})$/;

/** A new grant's id and code. */
export function newCode(): Code & { readonly code: string } {
  const grantId = randomBytes(16).toString('base64url');
  const secret = randomBytes(32).toString('base64url');
  return { grantId, digest: digestSecret(secret), code: `code_${grantId}.${secret}` };
}

/** What a code says; undefined where it cannot be one. */
export function readCode(text: string): Code | undefined {
  const [, grantId, secret] = shape.exec(text) ?? [];
  return grantId === undefined || secret === undefined ? undefined : { grantId, digest: digestSecret(secret) };
}
