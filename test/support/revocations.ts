import { type RevocationKind, revocationDigest } from '@keyturn/verifier/denylist';
import { changing } from '../../src/store/change.ts';
import type { Database } from '../../src/store/database.ts';
import { appendRevocations, type NewRevocation } from '../../src/store/revocation.ts';

/** A row of the denylist; by default one that is long from over. */
export function revocationOf(
  kind: RevocationKind,
  name: string,
  { epochBelow = null, expiresAt = 4_000_000_000 }: { epochBelow?: number | null; expiresAt?: number } = {},
): NewRevocation {
  return { digest: revocationDigest(kind, name), epochBelow, expiresAt, reason: 'test' };
}

/** Writes rows as every act does that revokes. */
export async function revoke(database: Database, ...rows: NewRevocation[]): Promise<void> {
  await changing(database, async (tx, changed) => {
    await appendRevocations(tx, rows);
    changed('revocation', 'test');
  });
}
