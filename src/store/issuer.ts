import type { Seconds } from '../protocol/time.ts';
import { type Changed, changing, locks, type Transaction, takeLock } from './change.ts';
import type { Database } from './database.ts';
import { DatabaseError, place } from './database-errors.ts';
import { liveFor } from './instance.ts';

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

/**
 * Says that another key-encryption key seals from now on, unless a live instance has not reported holding it. Answers
 * the ids of those that lack it: where there are any, nothing was changed.
 */
export async function nameSealingKey(database: Database, sealingKey: string): Promise<string[]> {
  return changing(database, async (tx, changed, audited) => {
    await takeLock(tx, locks.signingKeys);
    const lacking = await tx.$queryRaw<{ id: string }[]>`
      SELECT id FROM instance
       WHERE seen_at > now() - make_interval(secs => ${liveFor}) AND NOT ${sealingKey} = ANY(key_encryption_keys)`;
    if (lacking.length > 0) return lacking.map(({ id }) => id);
    await tx.issuer.update({ where: { id: 1 }, data: { sealingKey } });
    changed('issuer', '1');
    audited({ act: 'sealing changed', target: `key-encryption key ${sealingKey}` });
    return [];
  });
}

/** Has every instance look after its key-encryption keys at once, and report those that have come. */
export async function callForKeyEncryptionKeys(database: Database): Promise<void> {
  await changing(database, async (_tx, changed) => changed('issuer', '1'));
}

/** Within a transaction that holds the keys: where `from` is the key-encryption key that seals, `to` does instead. */
export async function setSealingKey(tx: Transaction, changed: Changed, from: string, to: string | null): Promise<void> {
  const { count } = await tx.issuer.updateMany({ where: { id: 1, sealingKey: from }, data: { sealingKey: to } });
  if (count > 0) changed('issuer', '1');
}

/** The key-encryption key that seals, within a transaction that holds the keys. */
export async function readSealingKey(tx: Transaction): Promise<string | null> {
  return (await tx.issuer.findUnique({ where: { id: 1 } }))?.sealingKey ?? null;
}
