/** The one function that writes revocations, and the acts that use it (DESIGN §3.5). */

import { type RevocationEntry, type RevocationKind, revocationDigest } from '@keyturn/verifier/denylist';
import { newId } from '../crypto/handle.ts';
import { type KeyRevocation, withdrawKey } from '../keys/administration.ts';
import { clockSkew, pollInterval, type Schedule } from '../keys/lifecycle.ts';
import type { Client } from '../protocol/client.ts';
import { ProtocolError } from '../protocol/error.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { User, UserChange } from '../protocol/user.ts';
import type { Actor } from '../store/audit-event.ts';
import { type Audited, type Changed, changing, locks, type Transaction, takeLock } from '../store/change.ts';
import { type ClientChange, changeClient } from '../store/client.ts';
import { removeConsent } from '../store/consent.ts';
import type { Database } from '../store/database.ts';
import { toDate } from '../store/instant.ts';
import { addLogoutDeliveries, clientsOfUser, type NewLogout } from '../store/logout-delivery.ts';
import { appendRevocations, readTokenRevocations } from '../store/revocation.ts';
import { removeSession } from '../store/session.ts';
import { changeSigningKeys } from '../store/signing-key.ts';
import { type DeletedUser, deleteUser, updateUser } from '../store/user.ts';

export interface RevokerOptions {
  readonly database: Database;
  now(): NumericDate;
  /** How long a token may live on after now: longest life ever given, poll, twice the clock tolerance. */
  longestLife(): Seconds;
  /** Told what is void, once that is committed: the memory of this process, where it has one. */
  onVoid?(entries: readonly RevocationEntry[]): void;
  /** Who acts; the database's own actor where nobody else is known. */
  readonly by?: Actor;
}

/** An access token that is to be void. */
export interface TokenToRevoke {
  readonly jti: string;
  /** Undefined where all that is known of it is its name. */
  readonly exp: NumericDate | undefined;
  /** The client that asks for it, of which the cap counts; undefined where an administrator does. */
  readonly clientId: string | undefined;
}

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

/** How many single tokens of one client may be void at a time, so that nobody fills the feed that all verifiers hold. */
const mostTokenRevocations = 1_000;

/** How long after its `exp` a token may count as alive somewhere: until late readings and by slow clocks. */
const tail: Seconds = pollInterval + 2 * clockSkew;

/** An act under way. */
interface ActUnderWay {
  readonly tx: Transaction;
  readonly audited: Audited;
  readonly changed: Changed;
  /** What it has voided so far. */
  readonly entries: RevocationEntry[];
}

/** What a denylist entry says: all of these are void, or what they have below an epoch. */
interface Void {
  readonly kind: RevocationKind;
  readonly names: readonly string[];
  readonly epochBelow?: number;
  /** Where it is known better than by the longest life of any token. */
  readonly expiresAt?: NumericDate | undefined;
  readonly clientId?: string | undefined;
}

export function createRevoker(options: RevokerOptions): Revoker {
  const { database, now, longestLife, onVoid, by } = options;

  /** Runs an act in a transaction of its own: what it voids is in force here when it answers. */
  async function perform<T>(work: (act: ActUnderWay) => Promise<T>): Promise<T> {
    const entries: RevocationEntry[] = [];
    const result = await changing(database, (tx, changed, audited) =>
      work({ tx, changed, audited: (act) => audited(act, by), entries }),
    );
    onVoid?.(entries);
    return result;
  }

  async function revoke({ tx, changed, entries }: ActUnderWay, what: Void, reason: string): Promise<void> {
    const { kind, names, epochBelow = null, clientId } = what;
    if (names.length === 0) return;
    // First: while it waits for the lock, tokens of before may still be given out, and the entry has to outlive those.
    await takeLock(tx, locks.changeLog);
    const expiresAt = what.expiresAt ?? now() + longestLife();
    const rows = names.map((name) => ({ digest: revocationDigest(kind, name), epochBelow, expiresAt }));
    await appendRevocations(
      tx,
      rows.map((row) => ({ ...row, reason, clientId })),
    );
    changed('revocation', reason);
    entries.push(...rows);
  }

  /** Ends those of the grants that have not ended yet. */
  async function endGrants(
    act: ActUnderWay,
    which: { id: string } | { sessionId: string; userId?: string } | { userId: string; clientId: string },
    reason: string,
  ): Promise<string[]> {
    const where = { ...which, revokedAt: null };
    const ended = await act.tx.grant.updateManyAndReturn({
      where,
      data: { revokedAt: toDate(now()) },
      select: { id: true },
    });
    const names = ended.map(({ id }) => id);
    await revoke(act, { kind: 'grant', names }, reason);
    for (const name of names) act.audited({ act: 'grant ended', target: `grant ${name}`, reason });
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
    by: (actor) => createRevoker({ ...options, by: actor }),

    revokeToken: ({ jti, exp, clientId }, reason) =>
      perform(async (act) => {
        const found = await readTokenRevocations(act.tx, revocationDigest('jti', jti), clientId, now());
        if (found.there) return false;
        if (found.live >= mostTokenRevocations) {
          const retryAfter = Math.max(1, Math.ceil(found.nextOver - now()));
          throw new ProtocolError('temporarily_unavailable', 'too many single tokens are revoked at the moment', {
            tooMany: true,
            retryAfter,
          });
        }
        const expiresAt = exp === undefined ? undefined : exp + tail;
        await revoke(act, { kind: 'jti', names: [jti], expiresAt, clientId }, reason);
        act.audited({ act: 'token revoked', target: `token ${jti}`, reason });
        return true;
      }),

    endGrant: (grantId, reason) =>
      perform(async (act) => {
        const ended = await endGrants(act, { id: grantId }, reason);
        return ended.length > 0;
      }),

    endSession: (sessionId, reason, userId) =>
      perform(async (act) => {
        const removed = await removeSession(act.tx, sessionId, userId);
        const which = { sessionId, ...(userId !== undefined && { userId }) };
        const grants = await endGrants(act, which, reason);
        if (removed !== undefined) act.audited({ act: 'session ended', target: `session ${sessionId}`, reason });
        return { grants, logoutId: removed && (await announce(act.tx, { sessionId, ...removed })) };
      }),

    withdrawConsent: (userId, clientId, reason) =>
      perform(async (act) => {
        await removeConsent(act.tx, userId, clientId);
        act.audited({ act: 'consent withdrawn', target: `client ${clientId}`, reason });
        return endGrants(act, { userId, clientId }, reason);
      }),

    changeUser: (userId, decide, reason) =>
      perform(async (act) => {
        const result = await updateUser(act.tx, userId, decide);
        if (result === undefined) return undefined;
        const { before, after } = result;
        act.audited({ act: 'user changed', target: `user ${userId}`, reason });
        if (after.grantEpoch > before.grantEpoch) await announceAll(act.tx, before);
        if (after.epoch > before.epoch) {
          await revoke(act, { kind: 'sub', names: [userId], epochBelow: after.epoch }, reason);
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
        await revoke(act, { kind: 'sub', names: [userId], epochBelow: deleted.user.epoch + 1 }, reason);
        return deleted;
      }),

    changeClient: (clientId, decide, reason) =>
      perform(async (act) => {
        const result = await changeClient(act.tx, act.changed, clientId, decide);
        if (result === undefined) return undefined;
        const { before, after } = result;
        if (after.epoch > before.epoch) {
          await revoke(act, { kind: 'client', names: [clientId], epochBelow: after.epoch }, reason);
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
        await revoke({ tx, changed, audited, entries }, { kind: 'kid', names: [kid], expiresAt }, reason);
        return done;
      });
      onVoid?.(entries);
      return revocation;
    },
  };
}
