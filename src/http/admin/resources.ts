import { addResource, listResources, updateResource } from '../../admin/resources.ts';
import { longestAccessTtl } from '../../admin/values.ts';
import { type AdminRoute, made, named, ok, route } from './route.ts';
import { members, nullable, pageAsked, pageOf, Type, text, word } from './schema.ts';

const values = {
  scopes: Type.Record(Type.String(), text('description'), {
    propertyNames: text('scopeToken'),
    description: 'Scope token and what it means to a person.',
    maxProperties: 100,
  }),
  alg: word('alg'),
  access_ttl: nullable(
    Type.Integer({
      minimum: 10,
      maximum: longestAccessTtl,
      description: 'Seconds that its access tokens live; null: ACCESS_TOKEN_TTL.',
    }),
  ),
};
const resource = members({ audience: text('audience'), ...values });
const params = named('audience', text('audience', 'Its audience URI, percent-encoded.'));
const body = members(Type.Partial(Type.Object(values)).properties);

export const resourceRoutes: readonly AdminRoute[] = [
  route({
    method: 'GET',
    path: '/resources',
    scope: 'admin:resources:read',
    summary: 'List resource services: the audiences of access tokens',
    takes: { query: pageAsked },
    gives: pageOf(resource),
    run: async (context, { query }) => ok(await listResources(context, query)),
  }),
  route({
    method: 'PUT',
    path: '/resources/:audience',
    scope: 'admin:resources:write',
    summary: 'Add a resource service. Again with the same values is no error, with others it is a conflict',
    takes: { params, body },
    gives: resource,
    creates: true,
    async run(context, { params, body }) {
      const { resource, added } = await addResource(context, params.audience, body);
      return made(added, resource);
    },
  }),
  route({
    method: 'PATCH',
    path: '/resources/:audience',
    scope: 'admin:resources:write',
    summary: 'Change what is given of a resource service; scopes replace the old ones',
    takes: { params, body },
    gives: resource,
    run: async (context, { params, body }) => ok(await updateResource(context, params.audience, body)),
  }),
];
