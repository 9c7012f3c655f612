import { addRole, listRoles } from '../../admin/roles.ts';
import { type AdminRoute, made, named, ok, route } from './route.ts';
import { members, pageAsked, pageOf, Type, text } from './schema.ts';

const role = members({ name: Type.String(), permissions: Type.Array(Type.String()) });

export const roleRoutes: readonly AdminRoute[] = [
  route({
    method: 'GET',
    path: '/roles',
    scope: 'admin:users:read',
    summary: 'List roles: what the people who have them are permitted',
    takes: { query: pageAsked },
    gives: pageOf(role),
    run: async (context, { query }) => ok(await listRoles(context, query)),
  }),
  route({
    method: 'PUT',
    path: '/roles/:name',
    scope: 'admin:users:write',
    summary: 'Add a role. Again with the same permissions is no error, with others it is a conflict',
    takes: {
      params: named('name', text('roleName')),
      body: members({ permissions: Type.Array(text('roleName'), { uniqueItems: true, maxItems: 100, default: [] }) }),
    },
    gives: role,
    creates: true,
    async run(context, { params, body }) {
      const { role, added } = await addRole(context, { ...params, ...body });
      return made(added, role);
    },
  }),
];
