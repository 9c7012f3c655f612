import type { Keyring } from '../../keys/keyring.ts';
import type { Seconds } from '../../protocol/time.ts';
import { createPublicDocument } from '../document.ts';
import type { Endpoint } from '../endpoint.ts';

/** The published keys (RFC 7517 §5). `maxAge` is the number on which the rotation schedule counts. */
export function jwksEndpoint(keyring: Keyring, maxAge: Seconds): Endpoint {
  const document = createPublicDocument({
    contentType: 'application/jwk-set+json',
    cacheControl: `public, max-age=${maxAge}`,
    version: () => keyring.publishedVersion(),
    render: () => ({ keys: keyring.published() }),
  });
  return {
    path: '/.well-known/jwks.json',
    method: 'GET',
    readableBy: 'anyone',
    metadata: (url) => ({ jwks_uri: url }),
    handle: (request, reply) => document.send(request, reply),
  };
}
