/** What a long denylist costs: the memory of those who hold it, and the document that brings it. */
import { execFile } from 'node:child_process';
import { get } from 'node:http';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createDenylist, revocationDigest } from '@keyturn/verifier/denylist';
import { changing } from '../../src/store/change.ts';
import { openDatabase } from '../../src/store/database.ts';
import { appendRevocations, type Revocation } from '../../src/store/revocation.ts';
import { createFeed } from '../../src/tokens/feed.ts';
import { bytesInUse } from './memory.ts';
import type { Target } from './report.ts';

const verifyBench = fileURLToPath(new URL('verify.js', import.meta.url));

/** Entries that are written in one transaction. */
const batch = 1_000;

/** Most revocations are of tokens and grants; one in ten is of a user. */
export function liveRevocations(count: number): Revocation[] {
  const expiresAt = Math.floor(Date.now() / 1000) + 3_600;
  return Array.from({ length: count }, (_, index) =>
    index % 10 === 0
      ? { id: index + 1, digest: revocationDigest('sub', String(index)), epochBelow: 1, expiresAt }
      : { id: index + 1, digest: revocationDigest('jti', String(index)), epochBelow: null, expiresAt },
  );
}

/** Bytes that an instance holds for them; wants `node --expose-gc`. */
export async function instanceMemory(revocations: readonly Revocation[]): Promise<{ feed: number; denylist: number }> {
  const now = Math.floor(Date.now() / 1000);
  const read = () => structuredClone(revocations) as Revocation[]; // with texts of their own, as a reading brings them
  const forFeed = read();
  const before = await bytesInUse();
  const feed = createFeed();
  feed.take({ incarnation: '0'.repeat(16), everything: true, revocations: forFeed, asOf: now }, now);
  const between = await bytesInUse();
  const denylist = createDenylist();
  denylist.add(read());
  const after = await bytesInUse();
  if (feed.after(undefined).count !== denylist.size || forFeed.length !== denylist.size)
    throw new Error('not all revocations were taken in');
  return { feed: between - before, denylist: after - between };
}

/** Writes them, as every act does that revokes. */
export async function writeRevocations(databaseUrl: string, revocations: readonly Revocation[]): Promise<void> {
  const database = openDatabase(databaseUrl);
  try {
    for (let at = 0; at < revocations.length; at += batch) {
      const rows = revocations.slice(at, at + batch).map(({ id: _, ...row }) => ({ ...row, reason: 'bench' }));
      await changing(database, async (tx, changed) => {
        await appendRevocations(tx, rows);
        changed('revocation', 'bench');
      });
    }
  } finally {
    await database.close();
  }
}

/** Bytes of the whole document as it is sent in a coding. */
export function documentLength(port: number, coding: 'br' | 'gzip' | 'identity'): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'accept-encoding': coding };
    const request = get({ host: '127.0.0.1', port, path: '/revocations', headers }, (answer) => {
      const { statusCode, headers } = answer;
      if (statusCode !== 200 || (headers['content-encoding'] ?? 'identity') !== coding) {
        reject(new Error(`/revocations: ${statusCode} ${headers['content-encoding']}`));
      }
      let length = 0;
      answer.on('data', (bytes: Buffer) => {
        length += bytes.length;
      });
      answer.on('end', () => resolve(length)).on('error', reject);
    });
    request.on('error', reject);
  });
}

/** What `npm run bench:verify` finds: the verifier's memory, and what a look at the denylist costs it. */
export async function verifyTargets(): Promise<Target[]> {
  const args = ['--expose-gc', verifyBench, '--json'];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return (JSON.parse(stdout) as { targets: Target[] }).targets;
}
