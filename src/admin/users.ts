import { newId } from '../crypto/handle.ts';
import { checkNewPassword, type PasswordOwner, passwordFaults } from '../crypto/password-rules.ts';
import type { NumericDate } from '../protocol/time.ts';
import { disable, endSignIns, foldEmail, grantRole, revokeRole, type User, type UserChange } from '../protocol/user.ts';
import { findUser, findUserByEmail, listUsers as list, addUser as store } from '../store/user.ts';
import { type AdminContext, AdminError, type Page, type PageAsked, page } from './context.ts';
import { requireRoles } from './roles.ts';

/** In the words of OpenID Connect Core §5.1 where it has them. */
export interface UserDocument {
  readonly sub: string;
  readonly email: string;
  readonly email_verified: boolean;
  readonly name: string | null;
  readonly roles: readonly string[];
  readonly disabled_at: NumericDate | null;
}

export interface NewUser {
  readonly email: string;
  readonly password: string;
  readonly name?: string | undefined;
  readonly roles?: readonly string[] | undefined;
}

/** What a change has led to; `changed` is false where it was so before. */
export interface ChangedUser {
  readonly user: UserDocument;
  readonly changed: boolean;
}

export interface DeletedUser {
  readonly sub: string;
  readonly email: string;
  readonly deleted: true;
  /** How many of each went along. */
  readonly sessions: number;
  readonly grants: number;
  readonly consents: number;
}

export async function listUsers({ database }: AdminContext, asked: PageAsked): Promise<Page<UserDocument>> {
  return page(
    asked,
    (after, limit) => list(database, after, limit),
    ({ email }) => email,
    toDocument,
  );
}

export async function showUser(context: AdminContext, name: string): Promise<UserDocument> {
  return toDocument(await find(context, name));
}

/** Adds a person. Throws `conflict` where somebody has the address. */
export async function addUser(context: AdminContext, { password, ...asked }: NewUser): Promise<UserDocument> {
  const user: User = {
    id: newId('user'),
    email: foldEmail(asked.email) ?? asked.email,
    emailVerified: false,
    name: asked.name ?? null,
    roles: asked.roles ?? [],
    epoch: 0,
    grantEpoch: 0,
    disabledAt: null,
  };
  await requireGoodPassword(password, user);
  await requireRoles(context, user.roles);
  if (!(await store(context.database, user, await context.passwords.hash(password)))) {
    throw new AdminError(
      'conflict',
      `${user.email} is there already`,
      'see keyturn user --help for what can be changed',
    );
  }
  return toDocument(user);
}

export async function renameUser(context: AdminContext, name: string, to: string): Promise<UserDocument> {
  return (await change(context, name, () => ({ name: to }))).user;
}

/** Lets a person in no more, and ends what they are signed in to. */
export async function disableUser(context: AdminContext, name: string): Promise<ChangedUser> {
  return change(context, name, (user) => disable(user, context.now));
}

/** Lets a disabled person in again; they have to sign in anew. */
export async function enableUser(context: AdminContext, name: string): Promise<ChangedUser> {
  return change(context, name, () => ({ disabledAt: null }));
}

/** Deletes a person and all that is kept of them. Nobody will have their `sub` again. */
export async function deleteUser(context: AdminContext, name: string): Promise<DeletedUser> {
  const { id } = await find(context, name);
  const deleted = (await context.revoker.deleteUser(id, 'user delete')) ?? absent(name);
  const { user, sessions, grants, consents } = deleted;
  return { sub: user.id, email: user.email, deleted: true, sessions, grants, consents };
}

/** Gives a person another password, and ends what they are signed in to. */
export async function setPassword(context: AdminContext, name: string, password: string): Promise<UserDocument> {
  await requireGoodPassword(password, await find(context, name));
  const passwordHash = await context.passwords.hash(password);
  return (await change(context, name, (user) => ({ ...endSignIns(user), passwordHash }))).user;
}

/** Ends what a person is signed in to, and voids their access tokens. */
export async function signOutUser(context: AdminContext, name: string, reason?: string): Promise<UserDocument> {
  return (await change(context, name, endSignIns, reason)).user;
}

/** From the next access token on. */
export async function giveRole(context: AdminContext, name: string, role: string): Promise<ChangedUser> {
  await requireRoles(context, [role]);
  return change(context, name, (user) => grantRole(user, role));
}

/** Access tokens with the role are void; the person stays signed in. */
export async function takeRole(context: AdminContext, name: string, role: string): Promise<ChangedUser> {
  await requireRoles(context, [role]);
  return change(context, name, (user) => revokeRole(user, role));
}

/** By e-mail address or `sub`. Throws `absent`. */
export async function find({ database }: AdminContext, name: string): Promise<User> {
  const email = foldEmail(name);
  const found = email === undefined ? await findUser(database, name) : await findUserByEmail(database, email);
  return found ?? absent(name);
}

type Decide = (user: User) => UserChange & { passwordHash?: string };

/** The one way by which an administrator changes a person. */
async function change(
  context: AdminContext,
  name: string,
  decide: Decide,
  reason = 'by command',
): Promise<ChangedUser> {
  const { id } = await find(context, name);
  const { before, after } = (await context.revoker.changeUser(id, decide, reason)) ?? absent(name);
  const [user, was] = [toDocument(after), toDocument(before)];
  return { user, changed: JSON.stringify(user) !== JSON.stringify(was) };
}

function absent(name: string): never {
  throw new AdminError('absent', `there is no user ${name}`, 'see keyturn user list');
}

async function requireGoodPassword(password: string, owner: PasswordOwner): Promise<void> {
  const fault = await checkNewPassword(password, owner);
  if (fault !== undefined) throw new AdminError('invalid', `the password ${passwordFaults[fault]}`);
}

function toDocument(user: User): UserDocument {
  return {
    sub: user.id,
    email: user.email,
    email_verified: user.emailVerified,
    name: user.name,
    roles: user.roles,
    disabled_at: user.disabledAt,
  };
}
