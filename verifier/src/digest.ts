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

/** The first 24 bits of that digest: enough to tell most digests apart, and quicker than a text. */
export function revocationPrefix(kind: RevocationKind, name: string): number {
  return (sha256(`${kind}\0${name}`)[0] as number) >>> 8;
}

/** The first 24 bits of a digest that is a text; any number for what is none. */
export function prefixOf(digest: string): number {
  let prefix = 0;
  for (let at = 0; at < 4; at += 1) prefix = (prefix << 6) | (values[digest.charCodeAt(at)] ?? 0);
  return prefix;
}

/** What is kept of a secret: its SHA-256, base64url. */
export function secretDigest(secret: string): string {
  return base64url(sha256(secret), 256);
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** What a sign stands for, by its code. */
const values = Uint8Array.from({ length: 128 }, (_, code) => Math.max(0, alphabet.indexOf(String.fromCharCode(code))));
const pairs = [...alphabet].flatMap((first) => [...alphabet].map((second) => first + second));

/** The first `bits` of the words, in groups of six of which two are taken at once, filled up with zeros (RFC 4648 §5). */
function base64url(words: Int32Array, bits: 128 | 256): string {
  let text = '';
  for (let bit = 0; bit < bits; bit += 12) {
    const high = words[bit >>> 5] as number;
    const offset = bit & 31;
    const low = bit - offset + 32 < bits ? (words[(bit >>> 5) + 1] as number) : 0;
    const group = offset <= 20 ? high >>> (20 - offset) : (high << (offset - 20)) | (low >>> (52 - offset));
    text += pairs[group & 0xfff];
  }
  return bits === 128 ? text : text.slice(0, 43);
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
// Of the digest that is being made: nothing here waits.
const schedule = new Int32Array(64);
const state = new Int32Array(8);

/** The digest of a text in UTF-8, as eight words of 32 bits, which the next digest takes the place of. */
function sha256(text: string): Int32Array {
  // Names are ASCII nearly always: their signs are their bytes then, and no buffer is needed.
  const bytes = /[\u0080-\uffff]/.test(text) ? binary(text) : text;
  state.set(initial);
  const end = ((bytes.length + 72) >>> 6) << 6;
  for (let block = 0; block < end; block += 64) {
    for (let t = 0; t < 16; t += 1) {
      const at = block + t * 4;
      schedule[t] =
        (byte(bytes, at) << 24) | (byte(bytes, at + 1) << 16) | (byte(bytes, at + 2) << 8) | byte(bytes, at + 3);
    }
    if (block === end - 64) schedule[15] = bytes.length * 8;
    compress();
  }
  return state;
}

/** The bytes of a text as signs. */
function binary(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join('');
}

/** A byte of the message as it is padded (FIPS 180-4 §5.1.1), its length left out. */
function byte(bytes: string, at: number): number {
  if (at < bytes.length) return bytes.charCodeAt(at);
  return at === bytes.length ? 0x80 : 0;
}

/** One block, which is in the schedule (FIPS 180-4 §6.2.2). */
function compress(): void {
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
