/** `@keyturn/verifier/express`: middleware for Express, Connect and plain `node:http`. Depends on none of them. */
import type { Answer } from './answer.ts';
import type { AccessTokenClaims } from './claims.ts';
import { createGuard, type GuardOptions } from './guard.ts';
import { fromNode, type NodeRequest } from './node-request.ts';
import type { Requirement } from './requirement.ts';

export type { GuardOptions } from './guard.ts';
export type { ResourceDescription } from './protected-resource.ts';
export type { Requirement } from './requirement.ts';

declare global {
  namespace Express {
    interface Request {
      /** Of the token that `requireToken` let through; not there on routes without it. */
      claims: AccessTokenClaims;
    }
  }
}

/** What of Node's `ServerResponse` is used. */
export interface NodeResponse {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  end(body?: string): unknown;
}

export type Middleware = (
  request: NodeRequest & { readonly url?: string | undefined; claims?: AccessTokenClaims },
  response: NodeResponse,
  next: (error?: unknown) => void,
) => void;

export interface TokenMiddleware {
  /** Lets requests with a good token through, with its claims as `request.claims`; answers the others. */
  requireToken(requirement?: Requirement): Middleware;
  /** Answers `/.well-known/oauth-protected-resource` (RFC 9728). For the root of the app. */
  readonly metadata: Middleware;
}

/** Throws a `TypeError` for options that cannot be meant. */
export function createTokenMiddleware(options: GuardOptions): TokenMiddleware {
  const guard = createGuard(options);
  return {
    requireToken(requirement) {
      const decide = guard.requireToken(requirement);
      return (request, response, next) => {
        decide(fromNode(request)).then((verdict) => {
          if ('refusal' in verdict) return send(response, verdict.refusal);
          request.claims = verdict.claims;
          next();
        }, next);
      };
    },

    metadata(request, response, next) {
      const isAsked = request.method === 'GET' || request.method === 'HEAD';
      const path = request.url?.split('?', 1)[0];
      if (guard.metadata === undefined || !isAsked || path !== guard.metadata.path) next();
      else send(response, guard.metadata.answer);
    },
  };
}

function send(response: NodeResponse, { status, headers, body }: Answer): void {
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.end(body);
}
