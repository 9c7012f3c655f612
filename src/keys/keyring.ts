/**
 * Owns the signing keys in memory: signs with the one whose turn it is, shows the published ones, finds those that
 * verify. Knows nothing of where rows come from, nor of what is signed.
 */
import { createPrivateKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { algorithm } from '../crypto/algorithms.ts';
import { ProtocolError } from '../protocol/error.ts';
import type { PublicJwk, SigningKey } from '../protocol/signing-key.ts';
import type { NumericDate } from '../protocol/time.ts';
import { nextPhaseChange, publishedAt, type Schedule, signerOf } from './lifecycle.ts';
import { createSigningQueue } from './signing-queue.ts';

/** One member of the published set (RFC 7517 §4). */
export type PublishedJwk = PublicJwk & { readonly kid: string; readonly alg: string; readonly use: 'sig' };

export interface Keyring {
  /** Takes in the rows as Postgres has them, and opens the private halves that are new. */
  take(rows: readonly SigningKey[]): Promise<void>;
  /** The rows that were taken in last, of one algorithm or of all. */
  rows(alg?: string): readonly SigningKey[];
  /**
   * A JWS (compact form, RFC 7515) of the claims, by the key of that algorithm whose turn it is.
   * Throws `temporarily_unavailable` while no key signs, and where it cannot be known which one does.
   */
  sign(alg: string, typ: string, claims: object): Promise<string>;
  /** What the JWKS shows now, the keys that sign next first. */
  published(): PublishedJwk[];
  /** How many keys there are whose private half is sealed and could not be opened. */
  locked(): number;
  /** Whether it is the turn of a key of that algorithm whose private half could not be opened. */
  isLocked(alg: string): boolean;
  /** Rises whenever `published` may answer differently: with new rows and with the clock. */
  publishedVersion(): number;
}

export interface KeyringOptions {
  now(): NumericDate;
  /** Waited for before each signature, where it is a promise: then the rows that were taken in last may be too old. */
  catchUp(): Promise<void> | undefined;
  schedule(): Schedule;
  /** Opens a sealed private half, or throws. */
  open(sealed: string): Promise<object>;
  /** A private half could not be opened: that key cannot sign; the others are not affected. */
  onUnreadable(kid: string, error: unknown): void;
}

interface Signer {
  readonly key: KeyObject;
  readonly kid: string;
  /** base64url of the protected header, by `typ`. */
  readonly headers: Map<string, string>;
  readonly until: NumericDate;
}

export function createKeyring(options: KeyringOptions): Keyring {
  const queue = createSigningQueue();
  let rowsByAlg = new Map<string, SigningKey[]>();
  let privateKeys = new Map<string, KeyObject>();
  const signers = new Map<string, Signer>();
  let version = 0;
  let versionUntil: NumericDate = 0;

  async function openAll(rows: readonly SigningKey[]): Promise<Map<string, KeyObject>> {
    const opened = new Map<string, KeyObject>();
    for (const { kid, publicJwk, sealedPrivateJwk } of rows) {
      if (sealedPrivateJwk === null) continue;
      const known = privateKeys.get(kid);
      try {
        opened.set(kid, known ?? (await openOne(publicJwk, sealedPrivateJwk)));
      } catch (error) {
        options.onUnreadable(kid, error);
      }
    }
    return opened;
  }

  async function openOne(publicJwk: PublicJwk, sealed: string): Promise<KeyObject> {
    const jwk = (await options.open(sealed)) as JsonWebKey;
    const samePair = Object.entries(publicJwk).every(([member, value]) => jwk[member] === value);
    if (!samePair) throw new Error('the sealed private half belongs to another public half');
    return createPrivateKey({ key: jwk, format: 'jwk' });
  }

  /** The signer, worked out anew only when its time is up or rows have come. */
  function signerNow(alg: string): Signer {
    const now = options.now();
    const current = signers.get(alg);
    if (current !== undefined && now < current.until) return current;
    const rows = rowsByAlg.get(alg) ?? [];
    const row = signerOf(rows, now);
    const key = row && privateKeys.get(row.kid);
    if (row === undefined || key === undefined) {
      throw new ProtocolError('temporarily_unavailable', 'no key signs at the moment', { retryAfter: 1 });
    }
    const until = nextPhaseChange(rows, now, options.schedule());
    const signer = { key, kid: row.kid, headers: current?.kid === row.kid ? current.headers : new Map(), until };
    signers.set(alg, signer);
    return signer;
  }

  function headerOf(signer: Signer, alg: string, typ: string): string {
    let header = signer.headers.get(typ);
    if (header === undefined) {
      header = base64url(JSON.stringify({ alg, typ, kid: signer.kid }));
      signer.headers.set(typ, header);
    }
    return header;
  }

  return {
    async take(rows) {
      const opened = await openAll(rows);
      const byAlg = new Map<string, SigningKey[]>();
      for (const row of rows) byAlg.set(row.alg, [...(byAlg.get(row.alg) ?? []), row]);
      rowsByAlg = byAlg;
      privateKeys = opened;
      signers.clear();
      versionUntil = 0;
    },

    rows: (alg) => (alg === undefined ? [...rowsByAlg.values()].flat() : (rowsByAlg.get(alg) ?? [])),

    async sign(alg, typ, claims) {
      const catchingUp = options.catchUp();
      if (catchingUp !== undefined) await catchingUp;
      const signer = signerNow(alg);
      const signingInput = `${headerOf(signer, alg, typ)}.${base64url(JSON.stringify(claims))}`;
      return `${signingInput}.${await queue.sign(algorithm(alg), signer.key, signingInput)}`;
    },

    locked: () =>
      [...rowsByAlg.values()].flat().filter((row) => row.sealedPrivateJwk !== null && !privateKeys.has(row.kid)).length,

    isLocked(alg) {
      const now = options.now();
      const current = signers.get(alg);
      if (current !== undefined && now < current.until) return false;
      const signer = signerOf(rowsByAlg.get(alg) ?? [], now);
      return signer !== undefined && !privateKeys.has(signer.kid);
    },

    published() {
      const now = options.now();
      const schedule = options.schedule();
      return [...rowsByAlg.values()].flatMap((rows) =>
        publishedAt(rows, now, schedule)
          .reverse()
          .map(({ publicJwk, kid, alg }): PublishedJwk => ({ kid, alg, use: 'sig', ...publicJwk })),
      );
    },

    publishedVersion() {
      const now = options.now();
      if (now >= versionUntil) {
        const schedule = options.schedule();
        versionUntil = Math.min(...[...rowsByAlg.values()].map((rows) => nextPhaseChange(rows, now, schedule)));
        version += 1;
      }
      return version;
    },
  };
}

function base64url(text: string): string {
  return Buffer.from(text).toString('base64url');
}
