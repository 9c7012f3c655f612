/** What in the database is sealed, and under which key-encryption key. */
import { sealedUnder } from '../crypto/sealing.ts';
import type { SigningKey } from '../protocol/signing-key.ts';
import type { Database } from '../store/database.ts';
import { countSealedInteractions } from '../store/interaction.ts';
import { listSigningKeys } from '../store/signing-key.ts';

/** What one key-encryption key is needed for. */
export interface SealedRows {
  readonly signingKeys: SigningKey[];
  /** How many requests of people who are signing in, none of them older than half an hour. */
  interactions: number;
}

/** By the id of the key-encryption key: all that cannot be opened without it. */
export async function listSealedRows(database: Database): Promise<Map<string, SealedRows>> {
  const found = new Map<string, SealedRows>();
  const rowsOf = (id: string) => {
    const rows = found.get(id) ?? { signingKeys: [], interactions: 0 };
    found.set(id, rows);
    return rows;
  };
  for (const key of await listSigningKeys(database)) {
    if (key.sealedPrivateJwk !== null) rowsOf(sealedUnder(key.sealedPrivateJwk)).signingKeys.push(key);
  }
  for (const [header, count] of await countSealedInteractions(database)) {
    rowsOf(sealedUnder(`${header}....`)).interactions += count;
  }
  return found;
}

/** In words: `2 signing keys and 3 sign-ins under way`. */
export function rowsInWords({ signingKeys, interactions }: SealedRows): string {
  const count = (number: number, one: string, many: string) => (number === 1 ? `1 ${one}` : `${number} ${many}`);
  const parts = [
    ...(signingKeys.length > 0 ? [count(signingKeys.length, 'signing key', 'signing keys')] : []),
    ...(interactions > 0 ? [count(interactions, 'sign-in under way', 'sign-ins under way')] : []),
  ];
  return parts.join(' and ') || 'nothing';
}
