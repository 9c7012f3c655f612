import { createHash } from 'node:crypto';

/** What a revocation can name: a token by its `jti`, a grant, a user, a client, a signing key. */
export type RevocationKind = 'jti' | 'grant' | 'sub' | 'client' | 'kid';

/**
 * The name under which something leaves the issuer in tokens and in the denylist: the first 16 bytes of
 * SHA-256(kind ‖ 0 ‖ name), base64url. Who has the name finds it; who has the digest learns nothing.
 */
export function revocationDigest(kind: RevocationKind, name: string): string {
  return createHash('sha256').update(`${kind}\0${name}`).digest().subarray(0, 16).toString('base64url');
}
