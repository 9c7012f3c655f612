import type { Command } from 'commander';
import { addRole, listRoles } from '../../src/admin/roles.ts';
import { each, roleArgument } from './arguments.ts';
import { everything, withDatabase } from './context.ts';
import { mistake } from './failure.ts';
import { facts, print, table } from './output.ts';

interface RoleOptions {
  permission?: string[];
  json?: true;
}

export function addRoleCommands(program: Command): void {
  const role = program.command('role').description('roles: what the people who have them are permitted');

  role
    .command('add')
    .description('add a role')
    .argument('<name>', 'its name', roleArgument)
    .option('--permission <permission>', 'what it permits; repeatable', each(roleArgument))
    .option('--json', 'print JSON')
    .action(async (name: string, { permission: permissions = [], json }: RoleOptions) => {
      const { role, added } = await withDatabase((context) => addRole(context, { name, permissions }));
      if (!added) throw mistake(`the role ${name} is there already`);
      print(json, role, () => facts({ role: name, permissions: permissions.join(' ') || 'none' }));
    });

  role
    .command('list')
    .description('list the roles')
    .option('--json', 'print JSON')
    .action(async (options: RoleOptions) => {
      const roles = await withDatabase((context) => everything((asked) => listRoles(context, asked)));
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
