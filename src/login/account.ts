/** What a person's own page shows of their account, and the change of their password. */
import type { Passwords } from '../crypto/password.ts';
import { checkNewPassword, type PasswordFault } from '../crypto/password-rules.ts';
import type { Client, Resource } from '../protocol/client.ts';
import { type Session, sessionIdle } from '../protocol/session.ts';
import type { NumericDate } from '../protocol/time.ts';
import { endSignIns, type User, type UserChange } from '../protocol/user.ts';
import { listConsents } from '../store/consent.ts';
import type { Database } from '../store/database.ts';
import { listSessions } from '../store/session.ts';
import type { Accounts } from './accounts.ts';
import { askedScopes } from './asked-scopes.ts';
import type { Attempt } from './attempts.ts';
import type { AccountConsent, AccountProblem, AccountView } from './pages/index.ts';

export interface AccountOverviewOptions {
  readonly database: Database;
  client(id: string): Client | undefined | Promise<Client | undefined>;
  resource(identifier: string): Resource | undefined;
}

/** What is theirs: where they are signed in, and what they have allowed. */
export async function accountOverview(
  { database, client, resource }: AccountOverviewOptions,
  { id: current, user }: Pick<Session, 'id' | 'user'>,
  now: NumericDate,
): Promise<Pick<AccountView, 'user' | 'now' | 'sessions' | 'consents'>> {
  const sessions = await listSessions(database, user.id, now, sessionIdle);
  const consents: AccountConsent[] = [];
  for (const { clientId, scope, grantedAt } of await listConsents(database, user.id)) {
    const found = await client(clientId);
    const scopes = askedScopes(scope, found?.resources ?? [], resource);
    consents.push({ clientId, clientName: found?.name ?? clientId, scopes, grantedAt });
  }
  return {
    user,
    now,
    sessions: sessions.map((session) => ({ ...session, current: session.id === current })),
    consents,
  };
}

/** The three fields of the form. */
export interface PasswordChange {
  readonly current: string;
  readonly wanted: string;
  readonly repeated: string;
}

export interface PasswordChangeOptions {
  readonly accounts: Accounts;
  readonly passwords: Passwords;
  /** Changes the user and ends what the change ends. */
  changeUser(
    userId: string,
    decide: (user: User) => UserChange & { passwordHash?: string },
    reason: string,
  ): Promise<{ before: User; after: User } | undefined>;
}

/**
 * Gives a person who knows their password another one; everything that they are signed in to ends. Answers the user as
 * they are then, or what is wrong. Rejects with `temporarily_unavailable` where too many passwords are being hashed.
 */
export async function changePassword(
  { accounts, passwords, changeUser }: PasswordChangeOptions,
  user: User,
  { current, wanted, repeated }: PasswordChange,
  attempt: Attempt,
): Promise<User | AccountProblem> {
  if (wanted !== repeated) return 'different';
  const fault = await checkNewPassword(wanted, user);
  if (fault !== undefined) return problemOf[fault];
  const proven = await accounts.authenticate(user.email, current, attempt);
  if (proven?.id !== user.id) return 'wrong';
  const passwordHash = await passwords.hash(wanted);
  // A password that was reset since it was proven proves nothing.
  const decide = (found: User) =>
    found.grantEpoch === proven.grantEpoch && found.disabledAt === null ? { ...endSignIns(found), passwordHash } : {};
  const changed = await changeUser(user.id, decide, 'password changed');
  return changed !== undefined && changed.after.grantEpoch > changed.before.grantEpoch ? changed.after : 'wrong';
}

const problemOf: Record<PasswordFault, AccountProblem> = {
  too_short: 'short',
  too_long: 'long',
  common: 'common',
  personal: 'personal',
  unprintable: 'unprintable',
};
