import { listAudit } from '../../admin/audit.ts';
import { AdminError } from '../../admin/context.ts';
import { revocationKinds, revoke } from '../../admin/revocations.ts';
import { inspect } from '../../admin/tokens.ts';
import { type AdminRoute, ok, route } from './route.ts';
import { members, nullable, Type, text } from './schema.ts';

const token = Type.String({ maxLength: 16_384 });
const anything = Type.Record(Type.String(), Type.Unknown());

export const tokenRoutes: readonly AdminRoute[] = [
  route({
    method: 'POST',
    path: '/revocations',
    scope: 'admin:tokens:write',
    summary: 'Void a token, or end a grant, a session, or all that a person or a client has. Again is no error',
    takes: {
      body: members(
        {
          jti: Type.Optional(text('tokenId')),
          token: Type.Optional(token),
          grant: Type.Optional(text('grantId')),
          session: Type.Optional(text('sessionId')),
          user: Type.Optional(Type.String({ maxLength: 1_000, description: 'E-mail address or sub.' })),
          client: Type.Optional(Type.String({ maxLength: 100 })),
          reason: Type.Optional(text('name')),
        },
        'One of them, and why.',
      ),
    },
    gives: members({
      revoked: Type.Enum(['token', 'grant', 'session', 'user', 'client']),
      jti: Type.Optional(Type.String()),
      already_revoked: Type.Optional(Type.Boolean()),
      sid: Type.Optional(Type.String()),
      ended_grants: Type.Optional(Type.Integer()),
      sub: Type.Optional(Type.String()),
      email: Type.Optional(Type.String()),
      client_id: Type.Optional(Type.String()),
    }),
    async run(context, { body: { reason, ...named } }) {
      const [kind, ...others] = revocationKinds.filter((one) => named[one] !== undefined);
      const name = kind && named[kind];
      if (kind === undefined || name === undefined || others.length > 0) {
        throw new AdminError('invalid', `give one of ${revocationKinds.join(', ')}`);
      }
      return ok(await revoke(context, kind, name, reason));
    },
  }),
  route({
    method: 'POST',
    path: '/tokens/inspect',
    scope: 'admin:tokens:write',
    summary: 'Explain a token, and say whether it is good: signature, key, times, denylist',
    takes: { body: members({ token }) },
    gives: members({
      good: Type.Boolean(),
      header: anything,
      claims: anything,
      findings: Type.Array(members({ about: Type.String(), good: Type.Boolean(), says: Type.String() })),
    }),
    run: async (context, { body }) => ok(await inspect(context, body.token)),
  }),
  route({
    method: 'GET',
    path: '/audit',
    scope: 'admin:audit:read',
    summary: 'List who did what, to whom, from where: the latest events, or those after one, in the order of time',
    takes: {
      query: members({
        after: Type.Optional(Type.Integer({ minimum: 0, description: 'An id; 0: from the first.' })),
        limit: Type.Integer({ minimum: 1, maximum: 1_000, default: 100 }),
      }),
    },
    gives: members({
      items: Type.Array(
        members({
          id: Type.Integer(),
          at: Type.String({ format: 'date-time' }),
          actor: Type.String(),
          address: nullable(Type.String()),
          act: Type.String(),
          target: nullable(Type.String()),
          reason: nullable(Type.String()),
          refused: Type.Boolean(),
        }),
      ),
      next: Type.Integer({ description: 'Give it as `after` for what comes next, now or later.' }),
    }),
    async run(context, { query }) {
      const items = await listAudit(context, query);
      return ok({ items, next: items.at(-1)?.id ?? query.after ?? 0 });
    },
  }),
];
