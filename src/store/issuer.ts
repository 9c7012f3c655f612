import type { Seconds } from '../protocol/time.ts';
import { changing, locks, type Transaction, takeLock } from './change.ts';
import type { Database } from './database.ts';
import { DatabaseError, place } from './database-errors.ts';

/** What all instances must agree on. */
export interface IssuerState {
  /** Id of the key-encryption key that seals; null before the first start. */
  readonly sealingKey: string | null;
  /** The longest life that an access token was ever given. */
  readonly longestTokenTtl: Seconds;
}

export async function readIssuerState(database: Database): Promise<IssuerState> {
  return (await database.prisma.issuer.findUnique({ where: { id: 1 } })) ?? { sealingKey: null, longestTokenTtl: 0 };
}

/** Makes sure that nobody forgets a key or a revocation while a token of this life may be alive. Never lowers it. */
export async function raiseLongestTokenTtl(database: Database, ttl: Seconds): Promise<void> {
  if ((await readIssuerState(database)).longestTokenTtl >= ttl) return;
  await changing(database, async (tx, changed) => {
    await raiseLongestTokenTtlWithin(tx, ttl);
    changed('issuer', '1');
  });
}

/** The same as part of a transaction that has more to do. */
export async function raiseLongestTokenTtlWithin(tx: Transaction, ttl: Seconds): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO issuer (id, longest_token_ttl) VALUES (1, ${ttl}::int4)
    ON CONFLICT (id) DO UPDATE SET longest_token_ttl = GREATEST(issuer.longest_token_ttl, EXCLUDED.longest_token_ttl)`;
}

/**
 * Names the key-encryption key that seals, if none is named yet: `make` is called under the lock, and only if no
 * instance has named one and nothing is sealed. Answers the id that seals from now on.
 */
export async function nameFirstSealingKey(database: Database, make: () => Promise<string>): Promise<string> {
  return changing(database, async (tx, changed) => {
    await takeLock(tx, locks.signingKeys);
    const state = await tx.issuer.findUnique({ where: { id: 1 } });
    if (state?.sealingKey != null) return state.sealingKey;
    const sealed = await tx.signingKey.count({ where: { sealedPrivateJwk: { not: null } } });
    if (sealed > 0) {
      throw new DatabaseError(
        'configuration',
        `database "${database.address.database}" at ${place(database.address)} holds sealed signing keys, but no longer` +
          ' says under which key-encryption key: restore the table issuer from a backup',
      );
    }
    const sealingKey = await make();
    await tx.issuer.upsert({ where: { id: 1 }, create: { id: 1, sealingKey }, update: { sealingKey } });
    changed('issuer', '1');
    return sealingKey;
  });
}
