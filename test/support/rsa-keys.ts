/**
 * RSA keys that an earlier test has made. To make one takes a tenth of a second of processor time, and each issuer of a
 * test begins with two. So a process takes them, in turn and none twice, from a folder beside the compiled tests, and
 * makes only those that it does not find there. What Keyturn does to make a key is done all the same; only the primes are
 * not new.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const folder = join(import.meta.dirname, '../.rsa-keys');
const { subtle } = globalThis.crypto;
const generateKey = subtle.generateKey.bind(subtle) as (...args: unknown[]) => Promise<CryptoKeyPair>;
type CryptoKeyPair = { publicKey: CryptoKey; privateKey: CryptoKey };
type CryptoKey = Parameters<typeof subtle.exportKey>[1];
let taken = 0;

Object.assign(subtle, {
  async generateKey(algorithm: { name: string; modulusLength?: number }, extractable: boolean, usages: unknown) {
    if (algorithm.name !== 'RSASSA-PKCS1-v1_5' || algorithm.modulusLength !== 2048 || !extractable) {
      return generateKey(algorithm, extractable, usages);
    }
    taken += 1;
    const path = join(folder, `${taken}.json`);
    const jwk = await readFile(path, 'utf8').then(JSON.parse, () => make(path, algorithm));
    return {
      publicKey: await subtle.importKey('jwk', { kty: jwk.kty, n: jwk.n, e: jwk.e }, algorithm, true, ['verify']),
      privateKey: await subtle.importKey('jwk', jwk, algorithm, true, ['sign']),
    };
  },
});

/** Makes a key and keeps it whole or not at all, as files run side by side. */
async function make(path: string, algorithm: object) {
  const { privateKey } = await generateKey(algorithm, true, ['sign', 'verify']);
  const jwk = await subtle.exportKey('jwk', privateKey);
  const half = `${path}.${process.pid}`;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(half, JSON.stringify(jwk), { mode: 0o600 });
  await rename(half, path);
  return jwk;
}
