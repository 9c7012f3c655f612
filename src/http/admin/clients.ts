import {
  addClient,
  disable,
  enable,
  listClients,
  rotateSecret,
  showClient,
  updateClient,
} from '../../admin/clients.ts';
import { longestOverlap } from '../../admin/values.ts';
import { clientAuthMethods } from '../../protocol/client.ts';
import { type AdminRoute, made, named, ok, route } from './route.ts';
import { instant, listOf, members, nullable, pageAsked, pageOf, Type, text, word } from './schema.ts';

const client_name = text('name');

const optional = {
  grant_types: listOf(word('grantType')),
  audiences: listOf(text('audience')),
  scope: text('scope'),
  redirect_uris: listOf(text('redirectUri')),
  post_logout_redirect_uris: listOf(text('redirectUri')),
  backchannel_logout_uri: nullable(text('webUri')),
  origins: listOf(text('origin')),
  serves: listOf(text('audience')),
  token_endpoint_auth_method: Type.Enum([...clientAuthMethods]),
  id_token_signed_response_alg: word('idTokenAlg'),
  pkce_required: Type.Boolean(),
  refresh_rotates: Type.Boolean(),
  skip_consent: Type.Boolean(),
  first_party: Type.Boolean(),
  cookie_domain: nullable(text('cookieDomain')),
};

const document = {
  client_id: Type.String(),
  client_name,
  ...optional,
  previous_secret_expires_at: nullable(instant),
  disabled_at: nullable(instant),
};
const client = members(document);
const client_secret = nullable(Type.String({ description: 'Shown this once; null where there is none to show.' }));
const clientWithSecret = members({ ...document, client_secret });

const params = named('client_id', Type.String({ maxLength: 100 }));

export const clientRoutes: readonly AdminRoute[] = [
  route({
    method: 'GET',
    path: '/clients',
    scope: 'admin:clients:read',
    summary: 'List clients',
    takes: { query: pageAsked },
    gives: pageOf(client),
    run: async (context, { query }) => ok(await listClients(context, query)),
  }),
  route({
    method: 'POST',
    path: '/clients',
    scope: 'admin:clients:write',
    summary: 'Add a client. Asked again with the same Idempotency-Key, it shows the one that was added',
    takes: {
      headers: Type.Object({ 'idempotency-key': Type.Optional(text('idempotencyKey')) }),
      body: members({ client_name, ...Type.Partial(Type.Object(optional)).properties }),
    },
    gives: clientWithSecret,
    creates: true,
    async run(context, { body, headers }) {
      const { client, added } = await addClient(context, body, headers['idempotency-key']);
      return made(added, client);
    },
  }),
  route({
    method: 'GET',
    path: '/clients/:client_id',
    scope: 'admin:clients:read',
    summary: 'Show a client',
    takes: { params },
    gives: client,
    run: async (context, { params }) => ok(await showClient(context, params.client_id)),
  }),
  route({
    method: 'PATCH',
    path: '/clients/:client_id',
    scope: 'admin:clients:write',
    summary: 'Change what is given of a client; lists replace the old ones',
    takes: { params, body: members(Type.Partial(Type.Object({ client_name, ...optional })).properties) },
    gives: client,
    run: async (context, { params, body }) => ok(await updateClient(context, params.client_id, body)),
  }),
  route({
    method: 'POST',
    path: '/clients/:client_id/disable',
    scope: 'admin:clients:write',
    summary: 'Refuse a client from now on; its grants end, and its access tokens are void',
    takes: { params },
    gives: client,
    run: async (context, { params }) => ok(await disable(context, params.client_id)),
  }),
  route({
    method: 'POST',
    path: '/clients/:client_id/enable',
    scope: 'admin:clients:write',
    summary: 'Accept a disabled client again; people have to sign in to it anew',
    takes: { params },
    gives: client,
    run: async (context, { params }) => ok(await enable(context, params.client_id)),
  }),
  route({
    method: 'POST',
    path: '/clients/:client_id/rotate-secret',
    scope: 'admin:clients:write',
    summary: 'Give a client a new secret. Asked again, it gives another; within an overlap all of them are good',
    takes: {
      params,
      body: members({
        overlap: Type.Integer({
          minimum: 0,
          maximum: longestOverlap,
          default: 0,
          description: 'Seconds for which secrets from before stay good.',
        }),
        revoke: Type.Boolean({ default: false, description: 'End all its grants and void its access tokens too.' }),
      }),
    },
    gives: clientWithSecret,
    run: async (context, { params, body }) => ok(await rotateSecret(context, params.client_id, body)),
  }),
];
