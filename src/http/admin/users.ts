import { endSession, listSessions } from '../../admin/sessions.ts';
import {
  addUser,
  deleteUser,
  disableUser,
  enableUser,
  giveRole,
  listUsers,
  renameUser,
  setPassword,
  showUser,
  signOutUser,
  takeRole,
} from '../../admin/users.ts';
import { type AdminRoute, made, named, ok, route } from './route.ts';
import { instant, listOf, members, nullable, pageAsked, pageOf, Type, text } from './schema.ts';

const user = members({
  sub: Type.String(),
  email: Type.String(),
  email_verified: Type.Boolean(),
  name: nullable(Type.String()),
  roles: Type.Array(Type.String()),
  disabled_at: nullable(instant),
});
const session = members({
  sid: Type.String(),
  created_at: instant,
  last_seen_at: instant,
  ip: nullable(Type.String()),
  user_agent: nullable(Type.String()),
});
/** Long enough for any that could be one; how good it has to be is said by the refusal. */
const password = Type.String({ maxLength: 1_024 });
const who = Type.String({ maxLength: 1_000, description: 'Their e-mail address, percent-encoded, or their sub.' });
const params = named('user', who);
const withRole = members({ user: who, role: text('roleName') });
const read = 'admin:users:read';
const write = 'admin:users:write';

export const userRoutes: readonly AdminRoute[] = [
  route({
    ...{ method: 'GET', path: '/users', scope: read, summary: 'List people' },
    takes: { query: pageAsked },
    gives: pageOf(user),
    run: async (context, { query }) => ok(await listUsers(context, query)),
  }),
  route({
    ...{ method: 'POST', path: '/users', scope: write, summary: 'Add a person. Again it is a conflict' },
    takes: {
      body: members({
        email: text('email'),
        password,
        name: Type.Optional(text('name')),
        roles: Type.Optional(listOf(text('roleName'))),
      }),
    },
    gives: user,
    creates: true,
    run: async (context, { body }) => made(true, await addUser(context, body)),
  }),
  route({
    ...{ method: 'GET', path: '/users/:user', scope: read, summary: 'Show a person' },
    takes: { params },
    gives: user,
    run: async (context, { params }) => ok(await showUser(context, params.user)),
  }),
  route({
    ...{ method: 'PATCH', path: '/users/:user', scope: write, summary: 'Change what is known of a person' },
    takes: { params, body: members({ name: text('name') }) },
    gives: user,
    run: async (context, { params, body }) => ok(await renameUser(context, params.user, body.name)),
  }),
  route({
    ...{ method: 'DELETE', path: '/users/:user', scope: write },
    summary: 'Delete a person and all that is kept of them. Nobody will have their sub again',
    takes: { params },
    gives: members({
      sub: Type.String(),
      email: Type.String(),
      deleted: Type.Literal(true),
      sessions: Type.Integer(),
      grants: Type.Integer(),
      consents: Type.Integer(),
    }),
    run: async (context, { params }) => ok(await deleteUser(context, params.user)),
  }),
  route({
    ...{ method: 'POST', path: '/users/:user/disable', scope: write },
    summary: 'Let a person in no more, and end what they are signed in to',
    takes: { params },
    gives: user,
    run: async (context, { params }) => ok((await disableUser(context, params.user)).user),
  }),
  route({
    ...{ method: 'POST', path: '/users/:user/enable', scope: write },
    summary: 'Let a disabled person in again; they have to sign in anew',
    takes: { params },
    gives: user,
    run: async (context, { params }) => ok((await enableUser(context, params.user)).user),
  }),
  route({
    ...{ method: 'POST', path: '/users/:user/set-password', scope: write },
    summary: 'Give a person another password, and end what they are signed in to',
    takes: { params, body: members({ password }) },
    gives: user,
    run: async (context, { params, body }) => ok(await setPassword(context, params.user, body.password)),
  }),
  route({
    ...{ method: 'POST', path: '/users/:user/sign-out', scope: write },
    summary: 'End what a person is signed in to, and void their access tokens',
    takes: { params },
    gives: user,
    run: async (context, { params }) => ok(await signOutUser(context, params.user)),
  }),
  route({
    ...{ method: 'PUT', path: '/users/:user/roles/:role', scope: write, summary: 'Give a person a role' },
    takes: { params: withRole },
    gives: user,
    run: async (context, { params }) => ok((await giveRole(context, params.user, params.role)).user),
  }),
  route({
    ...{ method: 'DELETE', path: '/users/:user/roles/:role', scope: write },
    summary: 'Take a role from a person; access tokens with it are void, they stay signed in',
    takes: { params: withRole },
    gives: user,
    run: async (context, { params }) => ok((await takeRole(context, params.user, params.role)).user),
  }),
  route({
    ...{ method: 'GET', path: '/users/:user/sessions', scope: read, summary: 'List where a person is signed in' },
    takes: { params },
    gives: members({ items: Type.Array(session) }),
    run: async (context, { params }) => ok({ items: await listSessions(context, params.user) }),
  }),
  route({
    ...{ method: 'DELETE', path: '/sessions/:sid', scope: write },
    summary: 'Sign a browser out of all that it is signed in to. Again is no error',
    takes: { params: named('sid', text('sessionId')) },
    gives: members({ sid: Type.String(), ended_grants: Type.Integer() }),
    run: async (context, { params }) => ok(await endSession(context, params.sid)),
  }),
];
