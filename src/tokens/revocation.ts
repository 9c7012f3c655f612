/** The one function that writes revocations, and the acts that use it (DESIGN §3.5). */

import { type RevocationKind, revocationDigest } from '@keyturn/verifier/denylist';
import { newId } from '../crypto/handle.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { User, UserChange } from '../protocol/user.ts';
import { type ChangeKind, changing, type Transaction } from '../store/change.ts';
import { removeConsent } from '../store/consent.ts';
import type { Database } from '../store/database.ts';
import { toDate } from '../store/instant.ts';
import { addLogoutDeliveries, clientsOfUser, type NewLogout } from '../store/logout-delivery.ts';
import { appendRevocations } from '../store/revocation.ts';
import { removeSession } from '../store/session.ts';
import { type DeletedUser, deleteUser, updateUser } from '../store/user.ts';

export interface RevokerOptions {
  readonly database: Database;
  now(): NumericDate;
  /** How long a token may live on after now: longest life ever given, poll, twice the clock tolerance. */
  longestLife(): Seconds;
}

/** What an act has ended. */
export interface Ended {
  readonly grants: readonly string[];
  /** The sign-out that clients are to be told of; undefined where there is nobody to tell. */
  readonly logoutId: string | undefined;
}

export interface Revoker {
  /** Ends one grant: no code or refresh token of it redeems, and its access tokens are void. False: it had ended. */
  endGrant(grantId: string, reason: string): Promise<boolean>;
  /**
   * Ends a session and the grants that end with it, and writes down which clients to tell. With `userId`, only where
   * both are that user's. Again is no error.
   */
  endSession(sessionId: string, reason: string, userId?: string): Promise<Ended>;
  /** Takes back what a person has allowed a client, and ends every grant that came of it. Answers those. */
  withdrawConsent(userId: string, clientId: string, reason: string): Promise<readonly string[]>;
  /**
   * Changes a user as `decide` says. Where that raises `epoch`, their access tokens are void; where it raises
   * `grantEpoch`, every session and grant has ended and all their clients are to be told. Undefined: no such user.
   */
  changeUser(
    userId: string,
    decide: (user: User) => UserChange & { passwordHash?: string },
    reason: string,
  ): Promise<{ before: User; after: User } | undefined>;
  /** Deletes a user with all that is theirs; what they had is void and their clients are to be told, as above. */
  deleteUser(userId: string, reason: string): Promise<DeletedUser | undefined>;
}

type Changed = (kind: ChangeKind, name: string) => void;

/** What a denylist entry says: all of these are void, or what they have below an epoch. */
interface Void {
  readonly kind: RevocationKind;
  readonly names: readonly string[];
  readonly epochBelow: number | null;
}

export function createRevoker({ database, now, longestLife }: RevokerOptions): Revoker {
  async function revoke(tx: Transaction, changed: Changed, { kind, names, epochBelow }: Void, reason: string) {
    if (names.length === 0) return;
    const expiresAt = now() + longestLife();
    const rows = names.map((name) => ({ digest: revocationDigest(kind, name), epochBelow, expiresAt, reason }));
    await appendRevocations(tx, rows);
    changed('revocation', reason);
  }

  /** Ends those of the grants that have not ended yet. */
  async function endGrants(
    tx: Transaction,
    changed: Changed,
    which: { id: string } | { sessionId: string; userId?: string } | { userId: string; clientId: string },
    reason: string,
  ): Promise<string[]> {
    const where = { ...which, revokedAt: null };
    const ended = await tx.grant.updateManyAndReturn({
      where,
      data: { revokedAt: toDate(now()) },
      select: { id: true },
    });
    const names = ended.map(({ id }) => id);
    await revoke(tx, changed, { kind: 'grant', names, epochBelow: null }, reason);
    return names;
  }

  async function announce(tx: Transaction, logout: Omit<NewLogout, 'logoutId'>): Promise<string | undefined> {
    const logoutId = newId('logout');
    const count = await addLogoutDeliveries(tx, { logoutId, ...logout }, now());
    return count > 0 ? logoutId : undefined;
  }

  /** Clients are told by `sub` alone, which means all sessions of the user (Back-Channel Logout §2.4). */
  async function announceAll(tx: Transaction, { id, grantEpoch }: User): Promise<void> {
    const clientIds = await clientsOfUser(tx, id, grantEpoch, now());
    await announce(tx, { userId: id, sessionId: null, clientIds });
  }

  return {
    endGrant: (grantId, reason) =>
      changing(database, async (tx, changed) => {
        const ended = await endGrants(tx, changed, { id: grantId }, reason);
        return ended.length > 0;
      }),

    endSession: (sessionId, reason, userId) =>
      changing(database, async (tx, changed) => {
        const removed = await removeSession(tx, sessionId, userId);
        const which = { sessionId, ...(userId !== undefined && { userId }) };
        const grants = await endGrants(tx, changed, which, reason);
        return { grants, logoutId: removed && (await announce(tx, { sessionId, ...removed })) };
      }),

    withdrawConsent: (userId, clientId, reason) =>
      changing(database, async (tx, changed) => {
        await removeConsent(tx, userId, clientId);
        return endGrants(tx, changed, { userId, clientId }, reason);
      }),

    changeUser: (userId, decide, reason) =>
      changing(database, async (tx, changed) => {
        const result = await updateUser(tx, userId, decide);
        if (result === undefined) return undefined;
        const { before, after } = result;
        if (after.grantEpoch > before.grantEpoch) await announceAll(tx, before);
        if (after.epoch > before.epoch) {
          await revoke(tx, changed, { kind: 'sub', names: [userId], epochBelow: after.epoch }, reason);
        }
        return result;
      }),

    deleteUser: (userId, reason) =>
      changing(database, async (tx, changed) => {
        const clientIds = await clientsOfUser(tx, userId, 0, now());
        const deleted = await deleteUser(tx, userId);
        if (deleted === undefined) return undefined;
        await announce(tx, { userId, sessionId: null, clientIds });
        await revoke(tx, changed, { kind: 'sub', names: [userId], epochBelow: deleted.user.epoch + 1 }, reason);
        return deleted;
      }),
  };
}
