/**
 * Decides on a request, whichever framework it came through: what token it carries (RFC 6750 §2.1, or the first-party
 * cookie), whether that will do, and what is answered where it does not.
 */
import { type Answer, refusalOf } from './answer.ts';
import type { AccessTokenClaims } from './claims.ts';
import { checkCsrf } from './csrf.ts';
import { TokenError } from './error.ts';
import type { Verifier } from './options.ts';
import { createProtectedResource, type ProtectedResource, type ResourceDescription } from './protected-resource.ts';
import { type Requirement, readRequirement } from './requirement.ts';

export interface GuardOptions {
  /** Who makes it closes it. */
  readonly verifier: Verifier;
  /**
   * Takes tokens from a first-party cookie too: the id of the client whose it is, or the cookie's name. Calls that change
   * something need its `X-CSRF-Token` then. By default no cookie is looked at.
   */
  readonly cookie?: string;
  /** Publishes what the service says of itself (RFC 9728), and names the address in each challenge. */
  readonly metadata?: ResourceDescription;
}

/** What of a request the guard looks at. Never its URL. */
export interface GuardedRequest {
  readonly method: string;
  /** The value of each header field of that name, in lower case. */
  header(name: string): readonly string[];
}

/** The claims of a token that will do, or the answer where there is none. */
export type Verdict = { readonly claims: AccessTokenClaims } | { readonly refusal: Answer };

export interface Guard {
  /** Undefined where the options do not ask for it. */
  readonly metadata: ProtectedResource | undefined;
  /** What decides on requests by a requirement. Throws a `TypeError` for one that cannot be meant. */
  requireToken(requirement?: Requirement): (request: GuardedRequest) => Promise<Verdict>;
}

/** Throws a `TypeError` for options that cannot be meant. */
export function createGuard({ verifier, cookie, metadata: description }: GuardOptions): Guard {
  const cookieName = cookie === undefined ? undefined : cookieNameOf(cookie, verifier.issuer);
  const metadata = description && createProtectedResource(verifier, description);

  /** Throws unless there is exactly one. The header comes first: no other site can have it sent. */
  function findToken(request: GuardedRequest): { token: string; inCookie: boolean } {
    const inHeader = readAuthorization(request.header('authorization'));
    if (inHeader !== undefined) return { token: inHeader, inCookie: false };
    const inCookie = cookieName === undefined ? undefined : readCookie(request.header('cookie'), cookieName);
    if (inCookie !== undefined) return { token: inCookie, inCookie: true };
    throw new TokenError('token_missing');
  }

  return {
    metadata,

    requireToken(requirement) {
      const check = readRequirement(requirement);
      return async (request) => {
        try {
          const { token, inCookie } = findToken(request);
          const claims = await verifier.verify(token);
          if (inCookie && !isSafe(request.method)) checkCsrf(claims, request.header('x-csrf-token').join());
          check(claims);
          return { claims };
        } catch (error) {
          if (!(error instanceof TokenError)) throw error;
          return { refusal: refusalOf(error, metadata?.url) };
        }
      };
    },
  };
}

/** Methods that change nothing (RFC 9110 §9.2.1). */
function isSafe(method: string): boolean {
  return ['GET', 'HEAD', 'OPTIONS', 'TRACE'].includes(method);
}

/** The bearer token of the header (RFC 6750 §2.1); undefined where there is none, or credentials of another kind. */
function readAuthorization(values: readonly string[]): string | undefined {
  const [value, ...more] = values;
  if (more.length > 0) throw new TokenError('request_malformed');
  if (value === undefined || !/^bearer( |$)/i.test(value)) return undefined;
  const [, token] = /^bearer +([\w.~+/-]+=*)$/i.exec(value) ?? [];
  if (token === undefined) throw new TokenError('request_malformed');
  return token;
}

/** The cookie of that name. Two of them are refused: a neighbouring host may have set one (RFC 6265 §8.6). */
function readCookie(values: readonly string[], name: string): string | undefined {
  const pairs = values.join(';').split(';');
  const found = pairs.map((pair) => pair.trim()).filter((pair) => pair.startsWith(`${name}=`));
  if (found.length > 1) throw new TokenError('request_malformed');
  return found[0]?.slice(name.length + 1) || undefined;
}

/** As the issuer names it: with the prefix by which browsers take it over https alone. */
function cookieNameOf(cookie: string, issuer: string): string {
  if (!/^[\w!#$%&'*+.^`|~-]+$/.test(cookie)) throw new TypeError('cookie must be the id of a client, or a name');
  const prefix = issuer.startsWith('https:') ? '__Secure-' : '';
  return cookie.startsWith('client_') ? `${prefix}kt-${cookie}` : cookie;
}
