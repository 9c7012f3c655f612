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
const encoder = new TextEncoder();

/** The digest of a text in UTF-8, as eight words of 32 bits. */
function sha256(text: string): Int32Array {
  const message = utf8(text);
  const state = initial.slice();
  const end = ((message.length + 72) >>> 6) << 6;
  for (let block = 0; block < end; block += 64) {
    for (let t = 0; t < 16; t += 1) {
      const at = block + t * 4;
      schedule[t] =
        (byte(message, at) << 24) |
        (byte(message, at + 1) << 16) |
        (byte(message, at + 2) << 8) |
        byte(message, at + 3);
    }
    if (block === end - 64) schedule[15] = message.length * 8;
    compress(state);
  }
  return state;
}

/** The bytes of a text; names are ASCII nearly always, and then that is several times quicker than an encoder. */
function utf8(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code > 0x7f) return encoder.encode(text);
    bytes[at] = code;
  }
  return bytes;
}

/** A byte of the message as it is padded (FIPS 180-4 §5.1.1), its length left out. */
function byte(message: Uint8Array, at: number): number {
  if (at < message.length) return message[at] as number;
  return at === message.length ? 0x80 : 0;
}

/** One block, which is in the schedule (FIPS 180-4 §6.2.2). */
function compress(state: Int32Array): void {
  const w = schedule;
  for (let t = 16; t < 64; t += 1) {
    const x = w[t - 15] as number;
    const y = w[t - 2] as number;
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[t] = ((w[t - 16] as number) + s0 + (w[t - 7] as number) + s1) | 0;
  }
  let a = state[0] as number;
  let b = state[1] as number;
  let c = state[2] as number;
  let d = state[3] as number;
  let e = state[4] as number;
  let f = state[5] as number;
  let g = state[6] as number;
  let h = state[7] as number;
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
  state[0] = (state[0] as number) + a;
  state[1] = (state[1] as number) + b;
  state[2] = (state[2] as number) + c;
  state[3] = (state[3] as number) + d;
  state[4] = (state[4] as number) + e;
  state[5] = (state[5] as number) + f;
  state[6] = (state[6] as number) + g;
  state[7] = (state[7] as number) + h;
}
