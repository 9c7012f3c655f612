/** What a service says of itself (RFC 9728): who issues the tokens that it takes, and how they are sent. */
import type { Answer } from './answer.ts';
import { isSecure } from './metadata.ts';
import type { Verifier } from './options.ts';

/** By the names of RFC 9728 §2. */
export interface ResourceDescription {
  readonly scopes_supported?: readonly string[];
  /** For people to read. */
  readonly resource_name?: string;
  /** A URL. */
  readonly resource_documentation?: string;
}

export interface ProtectedResource {
  /** Where the document is (§3.1). */
  readonly url: string;
  /** The path of that. */
  readonly path: string;
  readonly answer: Answer;
}

const wellKnown = '/.well-known/oauth-protected-resource';

/** Throws a `TypeError` unless the service's first identifier is a URL at which it can be found. */
export function createProtectedResource(
  { issuer, audiences }: Pick<Verifier, 'issuer' | 'audiences'>,
  description: ResourceDescription,
): ProtectedResource {
  const [resource = ''] = audiences;
  if (!isSecure(resource) || resource.includes('#'))
    throw new TypeError('metadata needs an audience that is an https URL without a fragment');
  const { origin, pathname, search } = new URL(resource);
  const path = `${wellKnown}${pathname === '/' ? '' : pathname}`;
  const { scopes_supported, resource_name, resource_documentation } = description;
  const document = {
    resource,
    authorization_servers: [issuer],
    ...(scopes_supported && { scopes_supported }),
    bearer_methods_supported: ['header'],
    ...(resource_name && { resource_name }),
    ...(resource_documentation && { resource_documentation }),
  };
  return {
    url: `${origin}${path}${search}`,
    path,
    answer: {
      status: 200,
      headers: {
        'content-type': 'application/json',
        'cache-control': 'public, max-age=600',
        // For pages of any origin: all of it is public.
        'access-control-allow-origin': '*',
      },
      body: JSON.stringify(document),
    },
  };
}
