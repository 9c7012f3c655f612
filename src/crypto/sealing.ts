/**
 * Owns the seal on private keys: a JWE under a key-encryption key, whose header names that key (RFC 7516, `dir` with
 * A256GCM). Knows nothing of where either is kept.
 */
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader, type JWK } from 'jose';

/** A key-encryption key: 256 random bits and the name they go by. */
export interface KeyEncryptionKey {
  readonly id: string;
  readonly secret: Uint8Array;
}

/** Seals a private JWK. The header shows the key-encryption key's id; all the rest is encrypted and authenticated. */
export async function sealPrivateJwk(privateJwk: JWK, key: KeyEncryptionKey): Promise<string> {
  const plaintext = new TextEncoder().encode(JSON.stringify(privateJwk));
  return new CompactEncrypt(plaintext)
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: key.id })
    .encrypt(key.secret);
}

/** The id of the key-encryption key under which something was sealed. */
export function sealedUnder(sealed: string): string {
  return decodeProtectedHeader(sealed).kid ?? '';
}

/** Opens a sealed private JWK. Throws where the key is another or the text was touched. */
export async function openPrivateJwk(sealed: string, key: KeyEncryptionKey): Promise<JWK> {
  const { plaintext } = await compactDecrypt(sealed, key.secret, {
    keyManagementAlgorithms: ['dir'],
    contentEncryptionAlgorithms: ['A256GCM'],
  });
  return JSON.parse(new TextDecoder().decode(plaintext)) as JWK;
}
