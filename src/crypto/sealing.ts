/**
 * Owns the seal on what only issuers may read, private keys above all: a JWE under a key-encryption key, whose header names that key (RFC 7516, `dir` with
 * A256GCM). Knows nothing of where either is kept.
 */
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader, type JWK } from 'jose';

/** A key-encryption key: 256 random bits and the name they go by. */
export interface KeyEncryptionKey {
  readonly id: string;
  readonly secret: Uint8Array;
}

/** Seals a text. The header shows the key-encryption key's id; all the rest is encrypted and authenticated. */
export async function seal(text: string, key: KeyEncryptionKey): Promise<string> {
  return new CompactEncrypt(new TextEncoder().encode(text))
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: key.id })
    .encrypt(key.secret);
}

/** Seals a private JWK. */
export async function sealPrivateJwk(privateJwk: JWK, key: KeyEncryptionKey): Promise<string> {
  return seal(JSON.stringify(privateJwk), key);
}

/** The id of the key-encryption key under which something was sealed. */
export function sealedUnder(sealed: string): string {
  return decodeProtectedHeader(sealed).kid ?? '';
}

/** Opens what was sealed. Throws where the key is another or the text was touched. */
export async function unseal(sealed: string, key: KeyEncryptionKey): Promise<string> {
  const { plaintext } = await compactDecrypt(sealed, key.secret, {
    keyManagementAlgorithms: ['dir'],
    contentEncryptionAlgorithms: ['A256GCM'],
  });
  return new TextDecoder().decode(plaintext);
}

/** Opens a sealed private JWK. Throws as `unseal` does. */
export async function openPrivateJwk(sealed: string, key: KeyEncryptionKey): Promise<JWK> {
  return JSON.parse(await unseal(sealed, key)) as JWK;
}
