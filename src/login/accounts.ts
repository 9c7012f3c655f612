/**
 * Owns the proof of who a person is, by e-mail address and password. Knows nothing of sessions, pages or HTTP.
 */
import type { Passwords } from '../crypto/password.ts';
import { ProtocolError } from '../protocol/error.ts';
import { foldEmail, type User } from '../protocol/user.ts';
import type { Database } from '../store/database.ts';
import { findUserWithPassword, renewPasswordHash } from '../store/user.ts';

export interface Accounts {
  /**
   * The user whose address and password these are. An unknown address, a wrong password and a disabled user get the
   * same answer after the same work: one statement and one hash. Rejects with `temporarily_unavailable` where too many
   * are signing in.
   */
  authenticate(email: string, password: string): Promise<User | undefined>;
}

export function createAccounts(database: Database, passwords: Passwords): Accounts {
  /** Nobody is kept out because their hash cannot be renewed just now: it will be at another time. */
  async function renew(id: string, password: string, old: string): Promise<void> {
    try {
      await renewPasswordHash(database, id, old, await passwords.hash(password));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }

  return {
    async authenticate(email, password) {
      const folded = foldEmail(email);
      const found = folded === undefined ? undefined : await findUserWithPassword(database, folded);
      const right = await passwords.verify(password, found?.passwordHash);
      if (found === undefined || !right || found.user.disabledAt !== null) return undefined;
      if (passwords.needsRehash(found.passwordHash)) await renew(found.user.id, password, found.passwordHash);
      return found.user;
    },
  };
}
