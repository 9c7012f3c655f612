/**
 * The digests by which a revocation names things: the first 16 bytes of SHA-256(kind ‖ 0 ‖ name), base64url.
 *
 * SHA-256 (FIPS 180-4) is written out here because the platforms that this package runs on share only an asynchronous
 * one, and a check on every request must not wait.
 */

/** What a revocation can name: a token by its `jti`, a grant, a user, a client, a signing key. */
export type RevocationKind = 'jti' | 'grant' | 'sub' | 'client' | 'kid';

/** Who has the name finds it; who has the digest learns nothing. */
export function revocationDigest(kind: RevocationKind, name: string): string {
  return base64url(sha256(`${kind}\0${name}`), 128);
}

/** What is kept of a secret: its SHA-256, base64url. */
export function secretDigest(secret: string): string {
  return base64url(sha256(secret), 256);
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** The first `bits` of the words, in groups of six, the last one filled up with zeros (RFC 4648 §5). */
function base64url(words: Int32Array, bits: 128 | 256): string {
  let text = '';
  for (let bit = 0; bit < bits; bit += 6) {
    const high = words[bit >>> 5] as number;
    const offset = bit & 31;
    const low = bit - offset + 32 < bits ? (words[(bit >>> 5) + 1] as number) : 0;
    const group = offset <= 26 ? high >>> (26 - offset) : (high << (offset - 26)) | (low >>> (58 - offset));
    text += alphabet[group & 63];
  }
  return text;
}

/** The first 32 bits of the fractional parts of a root (2 or 3) of each of the first primes (FIPS 180-4 §4.2.2, §5.3.3). */
function primeRoots(count: number, root: number): Int32Array {
  const roots = new Int32Array(count);
  for (let found = 0, candidate = 2; found < count; candidate += 1) {
    let prime = true;
    for (let factor = 2; factor * factor <= candidate; factor += 1) prime &&= candidate % factor !== 0;
    if (prime) roots[found++] = (candidate ** (1 / root) % 1) * 2 ** 32;
  }
  return roots;
}

const constants = primeRoots(64, 3);
const initial = primeRoots(8, 2);
const schedule = new Int32Array(64);

/** The digest of a text in UTF-8, as eight words of 32 bits. */
function sha256(text: string): Int32Array {
  const message = new TextEncoder().encode(text);
  const blocks = (message.length + 72) >>> 6;
  const padded = new Uint8Array(blocks * 64);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 4, message.length * 8);
  const state = initial.slice();
  for (let block = 0; block < padded.length; block += 64) compress(state, view, block);
  return state;
}

/** FIPS 180-4 §6.2.2. */
function compress(state: Int32Array, view: DataView, block: number): void {
  const w = schedule;
  for (let t = 0; t < 16; t += 1) w[t] = view.getInt32(block + t * 4);
  for (let t = 16; t < 64; t += 1) {
    const x = w[t - 15] as number;
    const y = w[t - 2] as number;
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[t] = ((w[t - 16] as number) + s0 + (w[t - 7] as number) + s1) | 0;
  }
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state;
  for (let t = 0; t < 64; t += 1) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + (constants[t] as number) + (w[t] as number)) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  for (const [index, value] of [a, b, c, d, e, f, g, h].entries()) state[index] = (state[index] as number) + value;
}
