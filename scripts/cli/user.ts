import { type Command, InvalidArgumentError } from 'commander';
import { newId } from '../../src/crypto/handle.ts';
import { createPasswords, hashingLimits } from '../../src/crypto/password.ts';
import { checkNewPassword, type PasswordOwner, passwordFaults } from '../../src/crypto/password-rules.ts';
import {
  disable,
  endSignIns,
  foldEmail,
  grantRole,
  revokeRole,
  type User,
  type UserChange,
} from '../../src/protocol/user.ts';
import type { Database } from '../../src/store/database.ts';
import { listRoles } from '../../src/store/role.ts';
import { addUser, findUserByEmail, listUsers } from '../../src/store/user.ts';
import { each, nameArgument, once, roleArgument } from './arguments.ts';
import { type Context, withDatabase } from './context.ts';
import { mistake } from './failure.ts';
import { facts, instant, print, table } from './output.ts';

import { readPassword } from './standard-input.ts';

interface UserOptions {
  name?: string;
  role?: string[];
  json?: true;
}

/** How many users a list reads at a time. */
const pageSize = 500;

/** One at a time is all that a command needs. */
const passwords = createPasswords(hashingLimits(1));

export function addUserCommands(program: Command): void {
  const user = program.command('user').description('people who can sign in');
  keepValuesSecret(user);
  const command = (name: string, description: string) =>
    user.command(name).description(description).option('--json', 'print JSON');
  const commandOn = (name: string, description: string) =>
    command(name, description).argument('<email>', 'their e-mail address', emailArgument);

  commandOn('add', 'add a person')
    .requiredOption('--password-stdin', 'read the password from standard input')
    .option('--name <name>', 'their name', once(nameArgument))
    .option('--role <role>', 'a role they have; repeatable', each(roleArgument))
    .action(async (email: string, options: UserOptions) => {
      const password = await readPassword();
      const added: User = {
        id: newId('user'),
        email,
        emailVerified: false,
        name: options.name ?? null,
        roles: options.role ?? [],
        epoch: 0,
        grantEpoch: 0,
        disabledAt: null,
      };
      await requireGoodPassword(password, added);
      await withDatabase(async ({ database }) => {
        await requireRoles(database, added.roles);
        if (!(await addUser(database, added, await passwords.hash(password)))) {
          throw mistake(`${email} is there already: see keyturn user --help for what can be changed`);
        }
      });
      show(options, added);
    });

  command('list', 'list the people').action(async (options: UserOptions) => {
    const users = await withDatabase(({ database }) => readAll(database));
    print(options.json, users.map(toDocument), () =>
      users.length === 0
        ? 'nobody yet: keyturn user add <email> --password-stdin'
        : table(
            ['SUB', 'EMAIL', 'NAME', 'ROLES', 'STATE'],
            users.map((one) => [one.id, one.email, one.name ?? '', one.roles.join(' '), state(one)]),
          ),
    );
  });

  commandOn('update', 'change what is known of a person')
    .option('--name <name>', 'their name', once(nameArgument))
    .action(async (email: string, { name, ...options }: UserOptions) => {
      if (name === undefined) throw mistake('nothing to change: give --name');
      show(options, (await change(email, () => ({ name }))).after);
    });

  commandOn('disable', 'let a person in no more, and end what they are signed in to').action(
    async (email: string, options: UserOptions) => {
      const { before, after } = await change(email, (user, { now }) => disable(user, now));
      show(options, after, before.disabledAt === null ? ended : 'They were disabled before; nothing was done.');
    },
  );

  commandOn('enable', 'let a disabled person in again; they have to sign in anew').action(
    async (email: string, options: UserOptions) =>
      show(options, (await change(email, () => ({ disabledAt: null }))).after),
  );

  commandOn('delete', 'delete a person and all that is kept of them').action(
    async (email: string, { json }: UserOptions) => {
      const { user, sessions, grants, consents } = await withDatabase(async ({ database, revoker }) => {
        const { id } = await find(database, email);
        return (await revoker.deleteUser(id, 'user delete')) ?? absent(email);
      });
      print(
        json,
        { sub: user.id, email, deleted: true, sessions, grants, consents },
        () =>
          `${email} (${user.id}) is deleted, with sessions: ${sessions}, grants: ${grants}, consents: ${consents}.\n` +
          'Nobody will have this sub again.',
      );
    },
  );

  commandOn('set-password', 'give a person another password, and end what they are signed in to')
    .requiredOption('--password-stdin', 'read the password from standard input')
    .action(async (email: string, options: UserOptions) => {
      const password = await readPassword();
      const { after } = await withDatabase(async (context) => {
        await requireGoodPassword(password, await find(context.database, email));
        const passwordHash = await passwords.hash(password);
        return changeWithin(context, email, (user) => ({ ...endSignIns(user), passwordHash }));
      });
      show(options, after, ended);
    });

  commandOn('sign-out', 'end what a person is signed in to').action(async (email: string, options: UserOptions) =>
    show(options, (await change(email, endSignIns)).after, ended),
  );

  commandOn('grant-role', 'give a person a role')
    .argument('<role>', 'its name', roleArgument)
    .action(async (email: string, role: string, options: UserOptions) => {
      const { before, after } = await withDatabase(async (context) => {
        await requireRoles(context.database, [role]);
        return changeWithin(context, email, (user) => grantRole(user, role));
      });
      show(options, after, before.roles.includes(role) ? 'They had it before; nothing was done.' : undefined);
    });

  commandOn('revoke-role', 'take a role from a person; access tokens with it are void, they stay signed in')
    .argument('<role>', 'its name', roleArgument)
    .action(async (email: string, role: string, options: UserOptions) => {
      const { before, after } = await withDatabase(async (context) => {
        await requireRoles(context.database, [role]);
        return changeWithin(context, email, (user) => revokeRole(user, role));
      });
      show(options, after, before.roles.includes(role) ? undefined : 'They did not have it; nothing was done.');
    });
}

const ended = 'All their sessions and grants have ended.';

type Decide = (user: User, context: Context) => UserChange & { passwordHash?: string };

async function change(email: string, decide: Decide): Promise<{ before: User; after: User }> {
  return withDatabase((context) => changeWithin(context, email, decide));
}

/** The one way by which a command changes a user. */
async function changeWithin(context: Context, email: string, decide: Decide): Promise<{ before: User; after: User }> {
  const { id } = await find(context.database, email);
  return (await context.revoker.changeUser(id, (user) => decide(user, context), 'by command')) ?? absent(email);
}

async function find(database: Database, email: string): Promise<User> {
  return (await findUserByEmail(database, email)) ?? absent(email);
}

function absent(email: string): never {
  throw mistake(`there is no user ${email}`);
}

async function requireGoodPassword(password: string, owner: PasswordOwner): Promise<void> {
  const fault = await checkNewPassword(password, owner);
  if (fault !== undefined) throw mistake(`the password ${passwordFaults[fault]}`);
}

async function requireRoles(database: Database, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  const known = new Set((await listRoles(database)).map(({ name }) => name));
  for (const name of names) {
    if (!known.has(name)) throw mistake(`there is no role ${name}: keyturn role add ${name}`);
  }
}

async function readAll(database: Database): Promise<User[]> {
  const all: User[] = [];
  for (;;) {
    const page = await listUsers(database, all.at(-1)?.email ?? '', pageSize);
    all.push(...page);
    if (page.length < pageSize) return all;
  }
}

function emailArgument(text: string): string {
  const email = foldEmail(text);
  if (email !== undefined) return email;
  throw new InvalidArgumentError('It must be an e-mail address, such as ada@example.com.');
}

/** Who types --password=… or -p… must not meet the password again in the complaint. */
function keepValuesSecret(command: Command): void {
  const { outputError } = command.configureOutput();
  command.configureOutput({
    outputError: (line, write) =>
      outputError?.(line.replace(/unknown option '(--[^=\s']+=|-[^-]).+'/s, "unknown option '$1…'"), write),
  });
}

function show(options: UserOptions, user: User, remark?: string): void {
  print(options.json, toDocument(user), () =>
    [
      facts({
        sub: user.id,
        email: user.email,
        ...(user.name !== null && { name: user.name }),
        roles: user.roles.join(' ') || 'none',
        state: state(user),
      }),
      ...(remark === undefined ? [] : ['', remark]),
    ].join('\n'),
  );
}

function state({ disabledAt }: User): string {
  return disabledAt === null ? 'enabled' : `disabled since ${instant(disabledAt)}`;
}

/** In the words of OpenID Connect Core §5.1 where it has them. */
function toDocument(user: User): object {
  return {
    sub: user.id,
    email: user.email,
    email_verified: user.emailVerified,
    name: user.name,
    roles: user.roles,
    disabled_at: user.disabledAt,
  };
}
