/** `@keyturn/verifier/request`: for whatever hands out a WHATWG `Request`: workers, edge runtimes, Deno, Bun, Hono. */
import type { Answer } from './answer.ts';
import type { AccessTokenClaims } from './claims.ts';
import { createGuard, type GuardOptions } from './guard.ts';
import type { Requirement } from './requirement.ts';

export type { GuardOptions } from './guard.ts';
export type { ResourceDescription } from './protected-resource.ts';
export type { Requirement } from './requirement.ts';

export interface TokenChecks {
  /** What resolves to the claims of a request's token, or to the `Response` to give in their place. */
  requireToken(requirement?: Requirement): (request: Request) => Promise<AccessTokenClaims | Response>;
  /** The answer to a request for `/.well-known/oauth-protected-resource` (RFC 9728); undefined for any other. */
  metadata(request: Request): Response | undefined;
}

/** Throws a `TypeError` for options that cannot be meant. */
export function createTokenChecks(options: GuardOptions): TokenChecks {
  const guard = createGuard(options);
  return {
    requireToken(requirement) {
      const decide = guard.requireToken(requirement);
      return async (request) => {
        const { method, headers } = request;
        // Fields of one name come as one value here, with commas: two Authorization fields are no token then.
        const header = (name: string) => [headers.get(name) ?? []].flat();
        const verdict = await decide({ method, header });
        return 'refusal' in verdict ? toResponse(verdict.refusal, method) : verdict.claims;
      };
    },

    metadata({ method, url }) {
      const isAsked = method === 'GET' || method === 'HEAD';
      if (guard.metadata === undefined || !isAsked || new URL(url).pathname !== guard.metadata.path) return undefined;
      return toResponse(guard.metadata.answer, method);
    },
  };
}

function toResponse({ status, headers, body }: Answer, method: string): Response {
  return new Response(method === 'HEAD' || body === '' ? null : body, { status, headers });
}
