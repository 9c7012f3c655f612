import { type Command, InvalidArgumentError } from 'commander';
import {
  addUser,
  type ChangedUser,
  deleteUser,
  disableUser,
  enableUser,
  giveRole,
  listUsers,
  renameUser,
  setPassword,
  signOutUser,
  takeRole,
  type UserDocument,
} from '../../src/admin/users.ts';
import { foldEmail } from '../../src/protocol/user.ts';
import { each, nameArgument, once, roleArgument } from './arguments.ts';
import { type Context, everything, withDatabase } from './context.ts';
import { mistake } from './failure.ts';
import { facts, instant, print, table } from './output.ts';
import { readPassword } from './standard-input.ts';

interface UserOptions {
  name?: string;
  role?: string[];
  json?: true;
}

const ended = 'All their sessions and grants have ended.';

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
      const values = { email, password: await readPassword(), name: options.name, roles: options.role };
      show(options, await withDatabase((context) => addUser(context, values)));
    });

  command('list', 'list the people').action(async (options: UserOptions) => {
    const users = await withDatabase((context) => everything((asked) => listUsers(context, asked)));
    print(options.json, users, () =>
      users.length === 0
        ? 'nobody yet: keyturn user add <email> --password-stdin'
        : table(
            ['SUB', 'EMAIL', 'NAME', 'ROLES', 'STATE'],
            users.map((one) => [one.sub, one.email, one.name ?? '', one.roles.join(' '), state(one)]),
          ),
    );
  });

  commandOn('update', 'change what is known of a person')
    .option('--name <name>', 'their name', once(nameArgument))
    .action(async (email: string, { name, ...options }: UserOptions) => {
      if (name === undefined) throw mistake('nothing to change: give --name');
      show(options, await withDatabase((context) => renameUser(context, email, name)));
    });

  commandOn('disable', 'let a person in no more, and end what they are signed in to').action(
    (email: string, options: UserOptions) =>
      showChanged(options, (context) => disableUser(context, email), {
        done: ended,
        nothing: 'They were disabled before; nothing was done.',
      }),
  );

  commandOn('enable', 'let a disabled person in again; they have to sign in anew').action(
    (email: string, options: UserOptions) => showChanged(options, (context) => enableUser(context, email)),
  );

  commandOn('delete', 'delete a person and all that is kept of them').action(
    async (email: string, { json }: UserOptions) => {
      const deleted = await withDatabase((context) => deleteUser(context, email));
      const { sub, sessions, grants, consents } = deleted;
      print(
        json,
        deleted,
        () =>
          `${email} (${sub}) is deleted, with sessions: ${sessions}, grants: ${grants}, consents: ${consents}.\n` +
          'Nobody will have this sub again.',
      );
    },
  );

  commandOn('set-password', 'give a person another password, and end what they are signed in to')
    .requiredOption('--password-stdin', 'read the password from standard input')
    .action(async (email: string, options: UserOptions) => {
      const password = await readPassword();
      show(options, await withDatabase((context) => setPassword(context, email, password)), ended);
    });

  commandOn('sign-out', 'end what a person is signed in to').action(async (email: string, options: UserOptions) =>
    show(options, await withDatabase((context) => signOutUser(context, email)), ended),
  );

  commandOn('grant-role', 'give a person a role')
    .argument('<role>', 'its name', roleArgument)
    .action((email: string, role: string, options: UserOptions) =>
      showChanged(options, (context) => giveRole(context, email, role), {
        nothing: 'They had it before; nothing was done.',
      }),
    );

  commandOn('revoke-role', 'take a role from a person; access tokens with it are void, they stay signed in')
    .argument('<role>', 'its name', roleArgument)
    .action((email: string, role: string, options: UserOptions) =>
      showChanged(options, (context) => takeRole(context, email, role), {
        nothing: 'They did not have it; nothing was done.',
      }),
    );
}

/** Does something to a person, and says whether there was anything to do. */
async function showChanged(
  options: UserOptions,
  act: (context: Context) => Promise<ChangedUser>,
  remarks: { done?: string; nothing?: string } = {},
): Promise<void> {
  const { user, changed } = await withDatabase(act);
  show(options, user, changed ? remarks.done : remarks.nothing);
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

function show(options: UserOptions, user: UserDocument, remark?: string): void {
  print(options.json, user, () =>
    [
      facts({
        sub: user.sub,
        email: user.email,
        ...(user.name !== null && { name: user.name }),
        roles: user.roles.join(' ') || 'none',
        state: state(user),
      }),
      ...(remark === undefined ? [] : ['', remark]),
    ].join('\n'),
  );
}

function state({ disabled_at }: UserDocument): string {
  return disabled_at === null ? 'enabled' : `disabled since ${instant(disabled_at)}`;
}
