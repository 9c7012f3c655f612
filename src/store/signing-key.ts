import type { PublicJwk, SigningKey } from '../protocol/signing-key.ts';
import type { NumericDate } from '../protocol/time.ts';
import { type Audited, type Changed, changing, locks, type Transaction, takeLock } from './change.ts';
import type { Database } from './database.ts';
import type { SigningKey as Row } from './generated/client.ts';
import { toDate, toNumericDate, toNumericDateOrNull } from './instant.ts';

/** The ways a signing key's row may change; each is one statement. */
export interface SigningKeyWriter {
  insert(key: SigningKey): Promise<void>;
  setSignsFrom(kid: string, signsFrom: NumericDate): Promise<void>;
  revoke(kid: string, revokedAt: NumericDate): Promise<void>;
  erasePrivateHalf(kid: string): Promise<void>;
  remove(kid: string): Promise<void>;
}

export async function listSigningKeys(database: Database): Promise<SigningKey[]> {
  return (await database.prisma.signingKey.findMany()).map(fromRow);
}

/**
 * The gate through which alone signing keys change: one transaction under a lock that all instances and the command
 * line share. What `work` reads is what is there, and stays so until its writes are committed.
 */
export async function changeSigningKeys<T>(
  database: Database,
  work: (
    keys: SigningKey[],
    write: SigningKeyWriter,
    tx: Transaction,
    changed: Changed,
    audited: Audited,
  ) => Promise<T>,
): Promise<T> {
  return changing(database, async (tx, changed, audited) => {
    await takeLock(tx, locks.signingKeys);
    const keys = (await tx.signingKey.findMany()).map(fromRow);
    const write: SigningKeyWriter = {
      async insert(key) {
        await tx.signingKey.create({
          data: { ...key, createdAt: toDate(key.createdAt), signsFrom: toDate(key.signsFrom), revokedAt: null },
        });
        changed('signing_key', key.kid);
      },
      async setSignsFrom(kid, signsFrom) {
        await tx.signingKey.update({ where: { kid }, data: { signsFrom: toDate(signsFrom) } });
        changed('signing_key', kid);
      },
      async revoke(kid, revokedAt) {
        await tx.signingKey.update({ where: { kid }, data: { revokedAt: toDate(revokedAt) } });
        changed('signing_key', kid);
      },
      async erasePrivateHalf(kid) {
        await tx.signingKey.update({ where: { kid }, data: { sealedPrivateJwk: null } });
        changed('signing_key', kid);
      },
      async remove(kid) {
        await tx.signingKey.delete({ where: { kid } });
        changed('signing_key', kid);
      },
    };
    return work(keys, write, tx, changed, audited);
  });
}

/**
 * Replaces a sealed private half by the same under another seal. False: the row has another by now, or none, and stays
 * as it is.
 */
export async function resealSigningKey(database: Database, kid: string, from: string, to: string): Promise<boolean> {
  return changing(database, async (tx, changed) => {
    const where = { kid, sealedPrivateJwk: from };
    const { count } = await tx.signingKey.updateMany({ where, data: { sealedPrivateJwk: to } });
    if (count > 0) changed('signing_key', kid);
    return count > 0;
  });
}

function fromRow(row: Row): SigningKey {
  return {
    kid: row.kid,
    alg: row.alg,
    publicJwk: row.publicJwk as PublicJwk,
    sealedPrivateJwk: row.sealedPrivateJwk,
    createdAt: toNumericDate(row.createdAt),
    signsFrom: toNumericDate(row.signsFrom),
    revokedAt: toNumericDateOrNull(row.revokedAt),
  };
}
