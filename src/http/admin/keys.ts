import { AdminError } from '../../admin/context.ts';
import { listKeys, requireStandbys, revokeKey, rotateKeys, rotationDocument } from '../../admin/keys.ts';
import { type AdminRoute, named, ok, route } from './route.ts';
import { instant, members, nullable, Type, text, word } from './schema.ts';

const key = members({
  kid: Type.String(),
  alg: Type.String(),
  phase: Type.String(),
  published_from: instant,
  signs_from: instant,
  signs_until: nullable(instant),
  published_until: nullable(instant),
  forgotten_from: nullable(instant),
  sealed_under: nullable(Type.String()),
});
const rotation = members({
  alg: Type.String(),
  signer: nullable(Type.String()),
  standby: nullable(Type.String()),
  signs_from: nullable(instant),
  changed: Type.Boolean(),
});
const kid = Type.String({ maxLength: 200 });

export const keyRoutes: readonly AdminRoute[] = [
  route({
    method: 'GET',
    path: '/keys',
    scope: 'admin:keys:read',
    summary: 'List signing keys, each with its phase and the times of its life',
    takes: {},
    gives: members({ items: Type.Array(key) }),
    run: async (context) => ok({ items: await listKeys(context) }),
  }),
  route({
    method: 'POST',
    path: '/keys/rotate',
    scope: 'admin:keys:write',
    summary: 'Let the published standby sign: as soon as every cache must know it, or at once',
    takes: {
      body: members({
        alg: Type.Optional(word('alg')),
        replaces: Type.Optional(
          Type.String({
            maxLength: 200,
            description: 'Only where this key signs, so that asking again turns nothing further; needed with `now`.',
          }),
        ),
        now: Type.Boolean({ default: false, description: 'At once, whatever caches may hold.' }),
        dry_run: Type.Boolean({ default: false, description: 'Say what would happen and do nothing.' }),
      }),
    },
    gives: members({ items: Type.Array(rotation) }),
    async run(context, { body: { alg, replaces, now, dry_run } }) {
      if (now && replaces === undefined) {
        throw new AdminError('invalid', 'now needs replaces: the kid of the key that is to stop signing');
      }
      const outcomes = await rotateKeys(context, { alg, replaces, immediately: now, dryRun: dry_run });
      requireStandbys(outcomes);
      return ok({ items: outcomes.map(rotationDocument) });
    },
  }),
  route({
    method: 'POST',
    path: '/keys/:kid/revoke',
    scope: 'admin:keys:write',
    summary: 'Withdraw a key that others may hold, with all that it has signed; the standby signs at once',
    takes: { params: named('kid', kid), body: members({ reason: Type.Optional(text('name')) }) },
    gives: members({
      kid: Type.String(),
      already_revoked: Type.Boolean(),
      successor: nullable(Type.String()),
      leaderless: Type.Boolean({ description: 'There was no standby: a new key is made, which no cache knows yet.' }),
    }),
    run: async (context, { params, body }) => ok(await revokeKey(context, params.kid, body.reason)),
  }),
];
