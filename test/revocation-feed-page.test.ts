import { readFileSync } from 'node:fs';
import {
  createDenylist,
  type RevocationEntry,
  type RevocationKind,
  revocationDigest,
} from '@keyturn/verifier/denylist';
import { test } from 'tap';
import { project } from './support/project.ts';

type Entry = [digest: string, expiresAt: number, epochBelow?: number];

interface Vectors {
  digests: { kind: RevocationKind; name: string; digest: string }[];
  received: Entry[][];
  denylist: Entry[];
  tokens: {
    void: boolean;
    because: string;
    header: { kid: string };
    claims: { jti: string; sub: string; client_id: string; gid?: string; sub_epoch?: number; client_epoch?: number };
  }[];
}

const page = readFileSync(project('docs/revocation-feed.md'), 'utf8');
const vectors: Vectors = JSON.parse(/## Test vectors[\s\S]*?```json\n([\s\S]*?)```/.exec(page)?.[1] ?? '');

function toEntry([digest, expiresAt, epochBelow = null as never]: Entry): RevocationEntry {
  return { digest, expiresAt, epochBelow };
}

test('the digests of the page', async (t) => {
  t.same([...new Set(vectors.digests.map(({ kind }) => kind))].sort(), ['client', 'grant', 'jti', 'kid', 'sub']);
  for (const { kind, name, digest } of vectors.digests)
    t.equal(revocationDigest(kind, name), digest, `${kind} ${name}`);
});

test('what the page receives makes the verdicts of the page, in whatever order it comes', async (t) => {
  const orders = [
    vectors.received,
    vectors.received.toReversed(),
    [vectors.denylist],
    [vectors.received.flat().toReversed()],
  ];
  for (const [index, order] of orders.entries()) {
    const denylist = createDenylist();
    for (const entries of order) denylist.add(entries.map(toEntry));
    t.equal(denylist.size, vectors.denylist.length);
    for (const { void: expected, because, header, claims } of vectors.tokens) {
      t.equal(denylist.isVoid(header.kid, claims), expected, `${because} (order ${index})`);
    }
  }
});

test('an entry goes by the latest of its times, and not before', async (t) => {
  const denylist = createDenylist();
  for (const entries of vectors.received) denylist.add(entries.map(toEntry));
  const times = vectors.denylist.map(([, expiresAt]) => expiresAt).sort();
  for (const [index, time] of times.entries()) {
    denylist.forget(time - 1);
    t.equal(denylist.size, times.filter((other) => other >= time).length, `entry ${index}`);
  }
  denylist.forget(times.at(-1) as number);
  t.equal(denylist.size, 0);
});
