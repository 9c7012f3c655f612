/**
 * Owns the proof of who a person is, by e-mail address and password. Knows nothing of sessions, pages or HTTP.
 */
import type { Passwords } from '../crypto/password.ts';
import { createQueue } from '../crypto/queue.ts';
import { ProtocolError } from '../protocol/error.ts';
import type { FailedSignIn } from '../protocol/observation.ts';
import type { NumericDate } from '../protocol/time.ts';
import { foldEmail, type User } from '../protocol/user.ts';
import type { Database } from '../store/database.ts';
import { noteFailure } from '../store/sign-in-attempt.ts';
import { findUserToSignIn, renewPasswordHash } from '../store/user.ts';
import { type Attempt, type AttemptKey, countedFor, keysOf, seenTogether, waitOf } from './attempts.ts';

export interface Accounts {
  /**
   * The user whose address and password these are. An unknown address, a wrong password and a disabled user get the
   * same answer after the same work: a statement, a hash, a statement that counts it. Rejects with
   * `temporarily_unavailable` where too many are signing in, or too much has failed of late (429), before anything is
   * spent on whoever comes too late.
   */
  authenticate(email: string, password: string, attempt: Attempt): Promise<User | undefined>;
}

export interface AccountsOptions {
  readonly database: Database;
  readonly passwords: Passwords;
  now(): NumericDate;
  /** Told, if given, what came of each password that was shown. */
  readonly onAttempt?: ((outcome: AttemptOutcome) => void) | undefined;
  /** Told of each sign-in that failed. */
  observe?(failed: FailedSignIn): void;
}

/** `limited`: too much has failed before; `busy`: there was no room to look at it. */
export type AttemptOutcome = 'ok' | 'wrong' | 'limited' | 'busy' | 'error';

export function createAccounts({ database, passwords, now, onAttempt, observe }: AccountsOptions): Accounts {
  const { concurrency, waiting, patience } = passwords.limits;
  /** As many as find room in the line for hashing: more would only be looked up to be sent away. */
  const gate = createQueue({ concurrency: concurrency + waiting, waiting: 0, patience });

  /** Nobody is kept out because their hash cannot be renewed just now: it will be at another time. */
  async function renew(id: string, password: string, old: string): Promise<void> {
    try {
      await renewPasswordHash(database, id, old, await passwords.hash(password));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }

  async function noteFailed(
    keys: readonly AttemptKey[],
    userId: string | undefined,
    { whence }: Attempt,
  ): Promise<void> {
    const at = now();
    const since = { failures: at - countedFor, others: at - seenTogether };
    const others = await noteFailure(database, keys, userId, whence.ip, at, since);
    const othersOf = (of: AttemptKey['of']) => others.get(keys.find((one) => one.of === of)?.key ?? '') ?? 0;
    const [accounts, networks] = [othersOf('address'), othersOf('account')];
    observe?.({ kind: 'failed sign-in', at, whence, userId, accounts, networks });
  }

  async function authenticate(email: string, password: string, attempt: Attempt): Promise<User | undefined> {
    const folded = foldEmail(email);
    const keys = keysOf(folded ?? '', attempt);
    const { found, failures } = await findUserToSignIn(
      database,
      folded,
      keys.map(({ key }) => key),
    );
    const retryAfter = waitOf(keys, failures, now());
    if (retryAfter > 0)
      throw new ProtocolError('temporarily_unavailable', 'too many attempts', { retryAfter, tooMany: true });
    const right = await passwords.verify(password, found?.passwordHash);
    if (found === undefined || !right || found.user.disabledAt !== null) {
      await noteFailed(keys, found?.user.id, attempt);
      return undefined;
    }
    if (passwords.needsRehash(found.passwordHash)) await renew(found.user.id, password, found.passwordHash);
    return found.user;
  }

  async function attempted(authenticated: Promise<User | undefined>): Promise<User | undefined> {
    try {
      const user = await authenticated;
      onAttempt?.(user === undefined ? 'wrong' : 'ok');
      return user;
    } catch (error) {
      onAttempt?.(whyNot(error));
      throw error;
    }
  }

  return {
    authenticate: (email, password, attempt) => attempted(gate(() => authenticate(email, password, attempt))),
  };
}

function whyNot(error: unknown): AttemptOutcome {
  if (!(error instanceof ProtocolError) || error.code !== 'temporarily_unavailable') return 'error';
  return error.status === 429 ? 'limited' : 'busy';
}
