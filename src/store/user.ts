import type { NumericDate } from '../protocol/time.ts';
import type { User, UserChange } from '../protocol/user.ts';
import { changing, type Transaction } from './change.ts';
import type { Database } from './database.ts';
import type { User as Row } from './generated/client.ts';
import { toDate, toNumericDateOrNull } from './instant.ts';
import type { Failures } from './sign-in-attempt.ts';

export async function findUser(database: Database, id: string): Promise<User | undefined> {
  const row = await database.prisma.user.findUnique({ where: { id }, omit });
  return row === null ? undefined : fromRow(row);
}

/** By the one spelling of the address (`foldEmail`). */
export async function findUserByEmail(database: Database, email: string): Promise<User | undefined> {
  const row = await database.prisma.user.findUnique({ where: { email }, omit });
  return row === null ? undefined : fromRow(row);
}

/** What is known of who wants to sign in. */
export interface SignInState {
  readonly found: { readonly user: User; readonly passwordHash: string } | undefined;
  /** What has failed of late under the keys that were asked for. */
  readonly failures: readonly Failures[];
}

/**
 * The user of an address (undefined: of none) with the hash of the password, and what has failed of late. One
 * statement, and the one way by which the hash leaves the table. It names its columns: a prepared statement does not
 * outlive a change of what `*` stands for, and a later version may add columns while this one runs.
 */
export async function findUserToSignIn(
  database: Database,
  email: string | undefined,
  attemptKeys: readonly string[],
): Promise<SignInState> {
  const [row] = await database.query<SignInRow>(
    `SELECT u.id, u.email, u.email_verified, u.password_hash, u.name, u.roles, u.epoch, u.grant_epoch, u.disabled_at,
            ARRAY(SELECT json_build_object('key', key, 'failures', failures, 'failedAt', extract(epoch FROM failed_at)::float8)
                         FROM sign_in_attempt WHERE key = ANY ($2)) AS attempts
       FROM (SELECT $1::text AS asked) AS asked LEFT JOIN "user" u ON u.email = asked`,
    [email ?? null, [...attemptKeys]],
  );
  const { id, password_hash: passwordHash, attempts: failures } = row as SignInRow;
  if (id === null || passwordHash === null) return { found: undefined, failures };
  const { email_verified: emailVerified, grant_epoch: grantEpoch, disabled_at: disabledAt, ...same } = row as UserRow;
  return { found: { user: fromRow({ ...same, emailVerified, grantEpoch, disabledAt }), passwordHash }, failures };
}

interface UserRow extends Omit<Row, 'emailVerified' | 'grantEpoch' | 'disabledAt' | 'passwordHash' | 'createdAt'> {
  email_verified: boolean;
  grant_epoch: number;
  disabled_at: Date | null;
}

type SignInRow = { [Column in keyof UserRow]: UserRow[Column] | null } & {
  password_hash: string | null;
  attempts: Failures[];
};

/** Users in the order of their addresses, a page at a time. */
export async function listUsers(database: Database, afterEmail: string, limit: number): Promise<User[]> {
  const rows = await database.prisma.user.findMany({
    where: { email: { gt: afterEmail } },
    orderBy: { email: 'asc' },
    take: limit,
    omit,
  });
  return rows.map(fromRow);
}

/** Adds a user. False, and nothing written, where the address is taken. */
export async function addUser(database: Database, user: User, passwordHash: string): Promise<boolean> {
  const data = [{ ...user, roles: [...user.roles], disabledAt: toDateOrNull(user.disabledAt), passwordHash }];
  return changing(database, async (tx, _changed, audited) => {
    const { count } = await tx.user.createMany({ data, skipDuplicates: true });
    if (count > 0) audited({ act: 'user added', target: `user ${user.id}` });
    return count > 0;
  });
}

/**
 * Reads a user, lets `decide` say what changes, and writes that, under a lock on the row. Undefined: no such one.
 * Where `after.epoch` has risen, tokens are void, and the transaction has to say so in the denylist.
 */
export async function updateUser(
  tx: Transaction,
  id: string,
  decide: (user: User) => UserChange & { passwordHash?: string },
): Promise<{ before: User; after: User } | undefined> {
  const before = await lockUser(tx, id);
  if (before === undefined) return undefined;
  const { roles, disabledAt, ...rest } = decide(before);
  const data = {
    ...rest,
    ...(roles !== undefined && { roles: [...roles] }),
    ...(disabledAt !== undefined && { disabledAt: toDateOrNull(disabledAt) }),
  };
  if (Object.keys(data).length === 0) return { before, after: before };
  const row = await tx.user.update({ where: { id }, data, omit });
  return { before, after: fromRow(row) };
}

/** What went with a user. */
export interface DeletedUser {
  /** As it was. Tokens below the next epoch are void, and the transaction has to say so in the denylist. */
  readonly user: User;
  readonly sessions: number;
  readonly grants: number;
  readonly consents: number;
}

/** Deletes a user with all that is theirs. Undefined: no such one. */
export async function deleteUser(tx: Transaction, id: string): Promise<DeletedUser | undefined> {
  const user = await lockUser(tx, id);
  if (user === undefined) return undefined;
  const where = { userId: id };
  const { count: sessions } = await tx.session.deleteMany({ where });
  const { count: grants } = await tx.grant.deleteMany({ where });
  const { count: consents } = await tx.consent.deleteMany({ where });
  await tx.user.delete({ where: { id }, omit });
  return { user, sessions, grants, consents };
}

/** Puts a hash of the same password in the place of an older one, unless that is gone: then a newer one has won. */
export async function renewPasswordHash(database: Database, id: string, old: string, renewed: string): Promise<void> {
  await database.query('UPDATE "user" SET password_hash = $3 WHERE id = $1 AND password_hash = $2', [id, old, renewed]);
}

const omit = { passwordHash: true } as const;

async function lockUser(tx: Transaction, id: string): Promise<User | undefined> {
  await tx.$executeRaw`SELECT 1 FROM "user" WHERE id = ${id} FOR UPDATE`;
  const row = await tx.user.findUnique({ where: { id }, omit });
  return row === null ? undefined : fromRow(row);
}

function fromRow(row: Omit<Row, 'passwordHash' | 'createdAt'>): User {
  return {
    id: row.id,
    email: row.email,
    emailVerified: row.emailVerified,
    name: row.name,
    roles: row.roles,
    epoch: row.epoch,
    grantEpoch: row.grantEpoch,
    disabledAt: toNumericDateOrNull(row.disabledAt),
  };
}

function toDateOrNull(instant: NumericDate | null): Date | null {
  return instant === null ? null : toDate(instant);
}
