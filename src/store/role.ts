import type { Role } from '../protocol/user.ts';
import { changing } from './change.ts';
import type { Database } from './database.ts';

/** All roles, by name. */
export async function listRoles(database: Database): Promise<Role[]> {
  return database.prisma.role.findMany({ orderBy: { name: 'asc' } });
}

/** Adds a role. False, and nothing written, where the name is taken. */
export async function addRole(database: Database, { name, permissions }: Role): Promise<boolean> {
  return changing(database, async (tx, changed) => {
    const data = [{ name, permissions: [...permissions] }];
    const { count } = await tx.role.createMany({ data, skipDuplicates: true });
    if (count > 0) changed('role', name);
    return count > 0;
  });
}
