/** The acts that make something void, and what each of them ends (DESIGN §3.5). */

import type { RevocationEntry } from '@keyturn/verifier/denylist';
import { newId } from '../crypto/handle.ts';
import { type KeyRevocation, withdrawKey } from '../keys/administration.ts';
import type { Schedule } from '../keys/lifecycle.ts';
import type { Client } from '../protocol/client.ts';
import type { User, UserChange } from '../protocol/user.ts';
import type { Actor } from '../store/audit-event.ts';
import type { Transaction } from '../store/change.ts';
import { type ClientChange, changeClient } from '../store/client.ts';
import { removeConsent } from '../store/consent.ts';
import { endGrants, type GrantsOf } from '../store/grant.ts';
import { addLogoutDeliveries, clientsOfUser, type NewLogout } from '../store/logout-delivery.ts';
import { removeSession } from '../store/session.ts';
import { changeSigningKeys } from '../store/signing-key.ts';
import { type DeletedUser, deleteUser, updateUser } from '../store/user.ts';
import { type ActOptions, type Acts, type ActUnderWay, createActs } from './act.ts';
import { createSingleRevocations, type SingleRevocations, type TokenToRevoke } from './single-revocations.ts';

/** What an act has ended. */
export interface Ended {
  readonly grants: readonly string[];
  /** The sign-out that clients are to be told of; undefined where there is nobody to tell. */
  readonly logoutId: string | undefined;
}

export interface Revoker {
  /** The same for acts of somebody who is known, for the audit. */
  by(actor: Actor): Revoker;
  /**
   * Voids one access token. False: it was void by its name already. Throws `temporarily_unavailable` (429) where more of
   * that client's are void one by one than a feed should carry.
   */
  revokeToken(token: TokenToRevoke, reason: string): Promise<boolean>;
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
  /**
   * Changes a client as `decide` says. Where that raises `epoch`, its access tokens are void; where it raises `grantEpoch`,
   * its grants have ended. Undefined: no such client.
   */
  changeClient(
    clientId: string,
    decide: (client: Client) => Promise<ClientChange>,
    reason: string,
  ): Promise<Client | undefined>;
  /**
   * Withdraws a signing key, with all that it has signed: access tokens are void, and refresh tokens no longer verify.
   * Undefined: there is no such key.
   */
  revokeKey(kid: string, schedule: Schedule, reason: string): Promise<KeyRevocation | undefined>;
}

export function createRevoker(options: ActOptions): Revoker {
  const acts = createActs(options);
  return revokerOf(options, acts, createSingleRevocations(acts, options.now), undefined);
}

/** Acts of one who is known; all share the transactions of single revocations. */
function revokerOf(
  options: ActOptions,
  acts: Acts,
  { revokeToken, endGrant }: SingleRevocations,
  by: Actor | undefined,
): Revoker {
  const { database, now, onVoid } = options;
  const { revoke } = acts;
  const perform = <T>(work: (act: ActUnderWay) => Promise<T>) => acts.perform(work, by);

  async function endAll(act: ActUnderWay, which: GrantsOf, reason: string): Promise<readonly string[]> {
    const ended = await endGrants(act.tx, which, now());
    await acts.noteEnded(
      act,
      ended.map((grantId) => ({ grantId, reason, by })),
    );
    return ended;
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
    by: (actor) => revokerOf(options, acts, { revokeToken, endGrant }, actor),

    revokeToken: (token, reason) => revokeToken(token, reason, by),
    endGrant: (grantId, reason) => endGrant(grantId, reason, by),

    endSession: (sessionId, reason, userId) =>
      perform(async (act) => {
        const removed = await removeSession(act.tx, sessionId, userId);
        const which = { sessionId, ...(userId !== undefined && { userId }) };
        const grants = await endAll(act, which, reason);
        if (removed !== undefined) act.audited({ act: 'session ended', target: `session ${sessionId}`, reason });
        return { grants, logoutId: removed && (await announce(act.tx, { sessionId, ...removed })) };
      }),

    withdrawConsent: (userId, clientId, reason) =>
      perform(async (act) => {
        await removeConsent(act.tx, userId, clientId);
        act.audited({ act: 'consent withdrawn', target: `client ${clientId}`, reason });
        return endAll(act, { userId, clientId }, reason);
      }),

    changeUser: (userId, decide, reason) =>
      perform(async (act) => {
        const result = await updateUser(act.tx, userId, decide);
        if (result === undefined) return undefined;
        const { before, after } = result;
        act.audited({ act: 'user changed', target: `user ${userId}`, reason });
        if (after.grantEpoch > before.grantEpoch) await announceAll(act.tx, before);
        if (after.epoch > before.epoch) {
          await revoke(act, [{ kind: 'sub', name: userId, reason, epochBelow: after.epoch }]);
        }
        return result;
      }),

    deleteUser: (userId, reason) =>
      perform(async (act) => {
        const clientIds = await clientsOfUser(act.tx, userId, 0, now());
        const deleted = await deleteUser(act.tx, userId);
        if (deleted === undefined) return undefined;
        await announce(act.tx, { userId, sessionId: null, clientIds });
        act.audited({ act: 'user deleted', target: `user ${userId}`, reason });
        await revoke(act, [{ kind: 'sub', name: userId, reason, epochBelow: deleted.user.epoch + 1 }]);
        return deleted;
      }),

    changeClient: (clientId, decide, reason) =>
      perform(async (act) => {
        const result = await changeClient(act.tx, act.changed, clientId, decide);
        if (result === undefined) return undefined;
        const { before, after } = result;
        if (after.epoch > before.epoch) {
          await revoke(act, [{ kind: 'client', name: clientId, reason, epochBelow: after.epoch }]);
        }
        return after;
      }),

    async revokeKey(kid, schedule, reason) {
      const entries: RevocationEntry[] = [];
      const revocation = await changeSigningKeys(database, async (keys, write, tx, changed, audited) => {
        const done = await withdrawKey(keys, write, kid, now(), schedule);
        if (done === undefined || done.already) return done;
        // Until the key's row goes, as long as a refresh token may live.
        const expiresAt = now() + schedule.keepRow;
        audited({ act: 'signing_key revoked', target: `signing_key ${kid}`, reason }, by);
        await revoke({ tx, changed, entries }, [{ kind: 'kid', name: kid, reason, expiresAt }]);
        return done;
      });
      onVoid?.(entries);
      return revocation;
    },
  };
}
