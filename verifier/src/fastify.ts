/** `@keyturn/verifier/fastify`: a plugin. Takes nothing but types from Fastify. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Answer } from './answer.ts';
import type { AccessTokenClaims } from './claims.ts';
import { createGuard, type GuardOptions } from './guard.ts';
import { fromNode } from './node-request.ts';
import type { Requirement } from './requirement.ts';

export type { GuardOptions } from './guard.ts';
export type { ResourceDescription } from './protected-resource.ts';
export type { Requirement } from './requirement.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** A hook, best an `onRequest` one, that lets requests with a good token through and answers the others. */
    requireToken(requirement?: Requirement): (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;
  }
  interface FastifyRequest {
    /** Of the token that `requireToken` let through. Throws on routes without it. */
    readonly claims: AccessTokenClaims;
  }
}

/** Adds `server.requireToken` and `request.claims`, and the route of the metadata where the options ask for that. */
export async function accessTokens(server: FastifyInstance, options: GuardOptions): Promise<void> {
  const guard = createGuard(options);
  const { metadata } = guard;
  const openRoute = metadata && `${server.prefix}${metadata.path}`;
  const known = new WeakMap<FastifyRequest, AccessTokenClaims>();

  server.decorateRequest('claims', {
    getter(this: FastifyRequest): AccessTokenClaims {
      const claims = known.get(this);
      if (claims === undefined) throw new Error('there are no claims on a route without requireToken');
      return claims;
    },
  });

  server.decorate('requireToken', (requirement?: Requirement) => {
    const decide = guard.requireToken(requirement);
    return async (request: FastifyRequest, reply: FastifyReply) => {
      // A hook for all routes of the service keeps nobody from reading who issues its tokens.
      if (openRoute !== undefined && request.routeOptions.url === openRoute) return;
      const verdict = await decide(fromNode(request.raw));
      if ('refusal' in verdict) return send(reply, verdict.refusal);
      known.set(request, verdict.claims);
    };
  });

  if (metadata !== undefined) server.get(metadata.path, (_request, reply) => send(reply, metadata.answer));
}

// What it adds is for the server that it is registered with, as fastify-plugin would have it.
Object.assign(accessTokens, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: '@keyturn/verifier',
});

function send(reply: FastifyReply, { status, headers, body }: Answer): FastifyReply {
  return reply
    .code(status)
    .headers(headers)
    .send(body || undefined);
}
