/**
 * Verifies signatures, back to back like those that are made (signing-queue.ts), so that either has the processor's caches
 * to itself for a while.
 */
import { type KeyObject, verify } from 'node:crypto';
import type { Algorithm } from '../crypto/algorithms.ts';
import { createBatch } from './batch.ts';
import { pssPadding } from './signing-queue.ts';

/** A signature as a JWS carries it, and what it is to be of. */
export interface Signed {
  readonly algorithm: Algorithm;
  readonly key: KeyObject;
  readonly signingInput: string;
  readonly signature: string;
}

/** How many in a row, of whatever algorithm: a verification takes less than a tenth of a millisecond. */
const batchSize = 32;

/** Whether signatures are what they seem (RFC 7515 §5.2). Rejects where a key does not fit its algorithm. */
export function createVerificationQueue(): (signed: Signed) => Promise<boolean> {
  return createBatch(batchSize, verifyOnce);
}

function verifyOnce({ algorithm, key, signingInput, signature }: Signed): boolean {
  const { hash, pss, coordinateBytes } = algorithm;
  const bytes = Buffer.from(signature, 'base64url');
  const readable = coordinateBytes === undefined ? bytes : toDer(bytes, coordinateBytes);
  if (readable === undefined) return false;
  return verify(hash, Buffer.from(signingInput, 'latin1'), pss ? { key, ...pssPadding } : key, readable);
}

/**
 * r ‖ s, each of a fixed width (RFC 7518 §3.4), as a DER ECDSA signature (SEQUENCE of two INTEGERs, X.690 §8), since
 * Node 24 takes twice as long by itself. Undefined where it has another width. For coordinates of up to 60 bytes.
 */
function toDer(joined: Buffer, width: number): Buffer | undefined {
  if (joined.length !== 2 * width) return undefined;
  const integers = Buffer.concat([toInteger(joined.subarray(0, width)), toInteger(joined.subarray(width))]);
  return Buffer.concat([Buffer.of(0x30, integers.length), integers]);
}

/** No needless zeros before it; one where its first bit would make it negative. */
function toInteger(coordinate: Buffer): Buffer {
  let from = 0;
  while (from < coordinate.length - 1 && coordinate[from] === 0) from += 1;
  const significant = coordinate.subarray(from);
  const sign = (significant[0] as number) < 0x80 ? [] : [0];
  return Buffer.concat([Buffer.of(0x02, significant.length + sign.length, ...sign), significant]);
}
