/** The one function that writes revocations, and the acts that use it. */
import { revocationDigest } from '../crypto/revocation-digest.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import { type ChangeKind, changing, type Transaction } from '../store/change.ts';
import type { Database } from '../store/database.ts';
import { toDate } from '../store/instant.ts';
import { appendRevocations } from '../store/revocation.ts';

export interface RevokerOptions {
  readonly database: Database;
  now(): NumericDate;
  /** How long a token may live on after now: longest life ever given, poll, twice the clock tolerance. */
  longestLife(): Seconds;
}

export interface Revoker {
  /** Ends one grant: no code or refresh token of it redeems, and its access tokens are void. False: it had ended. */
  endGrant(grantId: string, reason: string): Promise<boolean>;
  /** Ends a session and the grants that end with it. Answers the grants that were ended. */
  endSession(sessionId: string, reason: string): Promise<string[]>;
}

type Changed = (kind: ChangeKind, name: string) => void;

export function createRevoker({ database, now, longestLife }: RevokerOptions): Revoker {
  async function voidGrants(tx: Transaction, changed: Changed, grantIds: readonly string[], reason: string) {
    if (grantIds.length === 0) return;
    const expiresAt = now() + longestLife();
    const rows = grantIds.map((id) => ({ digest: revocationDigest('grant', id), epochBelow: null, expiresAt, reason }));
    await appendRevocations(tx, rows);
    changed('revocation', reason);
  }

  return {
    endGrant: (grantId, reason) =>
      changing(database, async (tx, changed) => {
        const where = { id: grantId, revokedAt: null };
        const { count } = await tx.grant.updateMany({ where, data: { revokedAt: toDate(now()) } });
        if (count > 0) await voidGrants(tx, changed, [grantId], reason);
        return count > 0;
      }),

    endSession: (sessionId, reason) =>
      changing(database, async (tx, changed) => {
        await tx.session.deleteMany({ where: { id: sessionId } });
        const where = { sessionId, revokedAt: null };
        const ended = await tx.grant.updateManyAndReturn({ where, data: { revokedAt: toDate(now()) } });
        const ids = ended.map(({ id }) => id);
        await voidGrants(tx, changed, ids, reason);
        return ids;
      }),
  };
}
