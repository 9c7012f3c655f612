import { identityScopes } from '../../protocol/scope.ts';
import type { Registry } from '../../store/registry.ts';
import { createPublicDocument } from '../document.ts';
import type { Endpoint, Metadata } from '../endpoint.ts';

/** How long the metadata may be cached: it changes with the version of Keyturn and with the resources' scopes. */
const maxAge = 300;

/**
 * The issuer's metadata (RFC 8414 §3, OpenID Connect Discovery §4): what the endpoints say of themselves, under both
 * names, appended to the issuer and (RFC 8414 §3.1) inserted before its path.
 */
export function metadataEndpoints(issuer: string, endpoints: readonly Endpoint[], registry: Registry): Endpoint[] {
  const issuerPath = new URL(issuer).pathname.replace(/\/$/, '');
  const fixed: Metadata = Object.assign(
    { issuer },
    ...endpoints.map(({ path, metadata }) => metadata?.(`${issuer}${path}`)),
  );
  const document = createPublicDocument({
    contentType: 'application/json',
    cacheControl: `public, max-age=${maxAge}`,
    version: () => registry.version,
    render: () => ({ ...fixed, ...scopesOf(registry) }),
  });
  return ['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server'].map((path) => ({
    path,
    method: 'GET',
    readableBy: 'anyone',
    fromRoot: [`${path}${issuerPath}`],
    handle: (request, reply) => document.send(request, reply),
  }));
}

/** Those of OpenID Connect (Discovery §3 wants `openid` there), and those of the resource services. */
function scopesOf(registry: Registry): Metadata {
  const scopes = new Set([...registry.resources()].flatMap((resource) => Object.keys(resource.scopes)));
  return { scopes_supported: [...new Set([...identityScopes, ...[...scopes].sort()])] };
}
