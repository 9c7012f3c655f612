/**
 * Owns the hashing of people's passwords: argon2id, a bounded number at a time. Knows nothing of who they are, and
 * does not judge a password (password-rules.ts does).
 */
import { randomBytes } from 'node:crypto';
import { hash, type Options, verify } from '@node-rs/argon2';
import { createQueue, type QueueLimits } from './queue.ts';

/** OWASP's first choice for argon2id: 19 MiB, two passes, one thread. A change here renews each hash at its next use. */
const parameters = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const satisfies Options;

/** How each hash of these parameters begins (the PHC string format). */
const signature = `$argon2id$v=19$m=${parameters.memoryCost},t=${parameters.timeCost},p=${parameters.parallelism}$`;

/** UTF-16 units. Longer than any spelling of 128 characters, of which composing makes one out of four at the most. */
const longestText = 1_024;

export interface Passwords {
  readonly limits: QueueLimits;
  /** The hash to keep. Rejects with `temporarily_unavailable` where too many are being hashed. */
  hash(password: string): Promise<string>;
  /**
   * Whether it is the password that was hashed. Without a hash the answer is no, after the same work: nobody can tell
   * from the time that there was none. Rejects as `hash` does.
   */
  verify(password: string, kept: string | undefined): Promise<boolean>;
  /** How many are being hashed, and how many wait for it. */
  load(): { readonly running: number; readonly waiting: number };
  /** Whether a hash was made with other parameters than a new one would be. */
  needsRehash(kept: string): boolean;
}

/**
 * The limits for a machine of so many cores. A hash occupies one thread of libuv's pool (`UV_THREADPOOL_SIZE`, 4 if not
 * set), in which files, host names and WebCrypto also wait for their turn: two threads are always left to them. What
 * may wait is a second's work or two, so that patience is for machines that are slower than they should be.
 */
export function hashingLimits(cores: number, threads = 4): QueueLimits {
  const concurrency = Math.max(1, Math.min(cores - 1, threads - 2));
  return { concurrency, waiting: 40 * concurrency, patience: 2 };
}

export function createPasswords(limits: QueueLimits): Passwords {
  const queue = createQueue(limits);
  const decoy = randomHash();
  return {
    limits,
    hash: (password) => queue(() => hash(toBytes(password), parameters)),
    async verify(password, kept) {
      // Says nothing of whose it is, as nobody's password is that long.
      if (password.length > longestText) return false;
      return queue(() => verify(kept ?? decoy, toBytes(password)));
    },
    load: queue.load,
    needsRehash: (kept) => !kept.startsWith(signature),
  };
}

/** A hash that costs what any other does and belongs to no password: random bytes stand for it. */
function randomHash(): string {
  const [salt, output] = [randomBytes(16), randomBytes(32)].map((bytes) => bytes.toString('base64').replace(/=+$/, ''));
  return `${signature}${salt}$${output}`;
}

/**
 * A password in its one spelling: NFKC, as NIST SP 800-63B §3.1.1.2 has it, because what one keyboard writes as `ｐ` or
 * `é` another writes as `p` or as `e` and an accent. It costs nothing that a guesser would not try anyway.
 */
export function normalisePassword(password: string): string {
  return password.normalize('NFKC');
}

function toBytes(password: string): Uint8Array {
  return new TextEncoder().encode(normalisePassword(password));
}
