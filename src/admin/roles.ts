import type { Role } from '../protocol/user.ts';
import { listRoles as list, addRole as store } from '../store/role.ts';
import { type AdminContext, AdminError, type Page, type PageAsked, pageOf } from './context.ts';

export async function listRoles({ database }: AdminContext, asked: PageAsked): Promise<Page<Role>> {
  return pageOf(
    asked,
    await list(database),
    ({ name }) => name,
    (role) => role,
  );
}

/**
 * Adds a role. Again with the same permissions is no error: `added` is false then. Throws `conflict` where there is one
 * of others.
 */
export async function addRole({ database }: AdminContext, role: Role): Promise<{ role: Role; added: boolean }> {
  const added = await store(database, role);
  const there = added ? role : (await list(database)).find(({ name }) => name === role.name);
  const spelled = (one: Role | undefined) => JSON.stringify([...(one?.permissions ?? [])].sort());
  if (spelled(there) !== spelled(role)) throw new AdminError('conflict', `the role ${role.name} is there already`);
  return { role, added };
}

/** Throws `invalid` unless there are roles of all these names. */
export async function requireRoles({ database }: AdminContext, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  const known = new Set((await list(database)).map(({ name }) => name));
  for (const name of names) {
    if (!known.has(name)) throw new AdminError('invalid', `there is no role ${name}`, `keyturn role add ${name}`);
  }
}
