/**
 * The admin API: what the command line does, over HTTP, for clients with a token of the admin audience. It listens where
 * the metrics do, never where the world comes in.
 */
import swagger from '@fastify/swagger';
import type { ErrorObject } from 'ajv';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from 'fastify';
import { adminResource, adminScopes } from '../../admin/access.ts';
import { type AdminContext, AdminError, type Refusal } from '../../admin/context.ts';
import { ProtocolError } from '../../protocol/error.ts';
import type { Actor } from '../../store/audit-event.ts';
import type { AccessTokenClaims } from '../../tokens/claims.ts';
import type { TokenReader } from '../../tokens/verification.ts';
import { explainError } from '../errors.ts';
import { requireOneAuthorization } from '../request.ts';
import { clientRoutes } from './clients.ts';
import { keyRoutes } from './keys.ts';
import { resourceRoutes } from './resources.ts';
import { roleRoutes } from './roles.ts';
import type { AdminRoute } from './route.ts';
import { createValidators, explain, members, Type } from './schema.ts';
import { tokenRoutes } from './tokens.ts';
import { userRoutes } from './users.ts';

export interface AdminApiOptions {
  readonly issuer: string;
  readonly version: string;
  readonly reader: Pick<TokenReader, 'accessToken'>;
  /** What an act works with that this actor asks for. */
  contextFor(actor: Actor): AdminContext;
  /** Whether the database has been read, so that acts can be done at all. */
  ready(): boolean;
}

/** All there is. */
const routes: readonly AdminRoute[] = [
  ...resourceRoutes,
  ...clientRoutes,
  ...userRoutes,
  ...roleRoutes,
  ...keyRoutes,
  ...tokenRoutes,
];

const statusOf: Record<Refusal, number> = { invalid: 400, absent: 404, conflict: 409, forbidden: 403, 'not yet': 409 };

const errorOf: Record<Refusal, string> = {
  invalid: 'invalid_request',
  absent: 'not_found',
  conflict: 'conflict',
  forbidden: 'access_denied',
  'not yet': 'not_yet',
};

/** Below the part that varies with what is asked. */
const prefix = '/v1';

export async function adminApi(server: FastifyInstance, options: AdminApiOptions): Promise<void> {
  const { issuer, version } = options;
  await server.register(swagger, { openapi: describe(issuer, version) });
  const validators = createValidators();
  server.setValidatorCompiler(({ schema, httpPart }) =>
    (httpPart === 'body' ? validators.strict : validators.ofText).compile(schema),
  );
  server.setSchemaErrorFormatter((errors, part) => {
    const says = explain(errors[0] as unknown as ErrorObject, part === 'querystring' ? 'query' : part);
    return new AdminError('invalid', says);
  });
  server.decorateRequest('administrator', undefined);
  server.setErrorHandler(sendError);
  for (const route of routes) add(server, route, options);
  server.get('/openapi.json', { schema: { hide: true } as FastifySchema }, () => server.swagger());
}

function add(server: FastifyInstance, route: AdminRoute, { issuer, reader, contextFor, ready }: AdminApiOptions): void {
  const { params, query, headers, body } = route.takes;
  server.route<{ Params: object; Querystring: object; Headers: object; Body: object }>({
    method: route.method,
    url: `${prefix}${route.path}`,
    schema: {
      ...{ summary: route.summary, operationId: operationIdOf(route), tags: [route.path.split('/')[1] as string] },
      security: [{ token: [route.scope] }],
      ...(params && { params }),
      ...(query && { querystring: query }),
      ...(headers && { headers }),
      ...(body && { body }),
      response: { 200: route.gives, ...(route.creates && { 201: route.gives }), '4xx': failure, '5xx': failure },
    } as FastifySchema,
    async onRequest(request) {
      if (!ready()) throw new ProtocolError('temporarily_unavailable', 'the issuer is starting', { retryAfter: 1 });
      const { client_id } = await authorize(request, route, issuer, reader);
      request.administrator = { actor: `client ${client_id}`, address: request.ip };
    },
    // A request without a body asks for nothing more than its address says.
    preValidation: async (request) => {
      if (body !== undefined && request.body === undefined) request.body = {};
    },
    async handler(request, reply) {
      const asked = { params: request.params, query: request.query, headers: request.headers, body: request.body };
      const context = contextFor(request.administrator as Actor);
      const { status, document } = await route.run(context, asked as never);
      return reply.code(status).header('cache-control', 'no-store').send(document);
    },
  });
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks something of the admin API. */
    administrator?: Actor;
  }
}

/**
 * The token has to be for the admin API and nothing else, with the scope, and of a client that acts for itself: what a
 * person was asked to consent to is never the administration of their issuer. Errors as RFC 6750 §3 has them.
 */
async function authorize(
  request: FastifyRequest,
  { scope }: AdminRoute,
  issuer: string,
  reader: AdminApiOptions['reader'],
): Promise<AccessTokenClaims> {
  const [, token] = /^bearer +(\S.*)$/i.exec(requireOneAuthorization(request) ?? '') ?? [];
  if (token === undefined) {
    throw new ProtocolError('invalid_token', 'a token of the admin API is needed', { challenge: 'Bearer' });
  }
  const claims = await reader.accessToken(token);
  const machine = claims !== undefined && claims.sub === claims.client_id && claims.gid === undefined;
  if (!machine || claims.aud !== adminResource(issuer).identifier) {
    throw refusal('invalid_token', 'the access token is expired, revoked or not for this service');
  }
  if (!claims.scope?.split(' ').includes(scope))
    throw refusal('insufficient_scope', `the token lacks the scope ${scope}`, scope);
  return claims;
}

function refusal(code: 'invalid_token' | 'insufficient_scope', description: string, scope?: string): ProtocolError {
  const needed = scope === undefined ? '' : `, scope="${scope}"`;
  return new ProtocolError(code, description, {
    challenge: `Bearer error="${code}", error_description="${description}"${needed}`,
  });
}

/** Errors in the form of the protocol (RFC 6749 §5.2). */
function sendError(
  error: FastifyError | ProtocolError | AdminError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  reply.header('cache-control', 'no-store');
  if (error instanceof AdminError) {
    const { refusal, message } = error;
    return reply.code(statusOf[refusal]).send({ error: errorOf[refusal], error_description: message });
  }
  if ((error as FastifyError).code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return sendError(new AdminError('invalid', 'the body must be application/json'), request, reply);
  }
  const known = explainError(error, request, reply);
  if (known.challenge !== undefined) reply.header('www-authenticate', known.challenge);
  return reply.send(known.toJSON());
}

const failure = members({
  error: Type.String({ description: 'A word for programs.' }),
  error_description: Type.String({ description: 'A sentence for people.' }),
});

/** `GET /clients/:client_id` is `getClients_client_id`: unique, and a name in any language. */
function operationIdOf({ method, path }: AdminRoute): string {
  const words = path.split('/').filter(Boolean);
  return (
    method.toLowerCase() +
    words
      .map((word) =>
        word
          .replace(/^:/, '_')
          .replace(/^\w/, (first) => first.toUpperCase())
          .replace(/-/g, '_'),
      )
      .join('')
  );
}

function describe(issuer: string, version: string) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Keyturn admin API',
      version,
      description: 'What the command line does, for programs. Everything may be asked again when no answer was heard.',
    },
    components: {
      securitySchemes: {
        token: {
          type: 'oauth2' as const,
          description: `Client credentials, with resource=${adminResource(issuer).identifier}`,
          flows: { clientCredentials: { tokenUrl: `${issuer}/token`, scopes: { ...adminScopes } } },
        },
      },
    },
  };
}
