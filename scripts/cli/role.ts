import { type Command, InvalidArgumentError } from 'commander';
import type { Role } from '../../src/protocol/user.ts';
import { addRole, listRoles } from '../../src/store/role.ts';
import { each } from './arguments.ts';
import { withDatabase } from './context.ts';
import { mistake } from './failure.ts';
import { facts, print, table } from './output.ts';

interface RoleOptions {
  permission?: string[];
  json?: true;
}

/** Names of roles and permissions stand in tokens, and side by side in lists: short, and without spaces. */
export function roleArgument(text: string): string {
  if (/^[\x21-\x7e]{1,64}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be 1 to 64 printable ASCII characters without spaces.');
}

export function addRoleCommands(program: Command): void {
  const role = program.command('role').description('roles: what the people who have them are permitted');

  role
    .command('add')
    .description('add a role')
    .argument('<name>', 'its name', roleArgument)
    .option('--permission <permission>', 'what it permits; repeatable', each(roleArgument))
    .option('--json', 'print JSON')
    .action(async (name: string, options: RoleOptions) => {
      const added: Role = { name, permissions: options.permission ?? [] };
      await withDatabase(async ({ database }) => {
        if (!(await addRole(database, added))) throw mistake(`the role ${name} is there already`);
      });
      print(options.json, added, () => facts({ role: name, permissions: added.permissions.join(' ') || 'none' }));
    });

  role
    .command('list')
    .description('list the roles')
    .option('--json', 'print JSON')
    .action(async (options: RoleOptions) => {
      const roles = await withDatabase(({ database }) => listRoles(database));
      print(options.json, roles, () =>
        roles.length === 0
          ? 'no roles yet: keyturn role add <name> --permission <permission>'
          : table(
              ['ROLE', 'PERMISSIONS'],
              roles.map(({ name, permissions }) => [name, permissions.join(' ')]),
            ),
      );
    });
}
