/**
 * What the issuer's refreshes are measured against: node-oidc-provider doing the same by its documentation (client_secret_basic,
 * rotation, a JWT access token signed with ES256), with the adapter that keeps everything in memory. It writes no log.
 *
 * `node peer-server.js <what to serve, as JSON>`; beside the provider's own paths, `GET /refresh-token` answers the first
 * refresh token of a new grant.
 */
import type { JsonWebKey } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

export interface PeerOptions {
  readonly port: number;
  readonly privateJwk: JsonWebKey;
  readonly audience: string;
  readonly scope: string;
  readonly subject: string;
  readonly client: { readonly id: string; readonly secret: string };
  /** Life of an access token, in seconds. */
  readonly accessTokenTtl: number;
}

const { port, privateJwk, audience, scope, subject, client, accessTokenTtl } = JSON.parse(
  process.argv[2] ?? '',
) as PeerOptions;

const provider = new Provider(`http://localhost:${port}`, {
  clients: [
    {
      client_id: client.id,
      client_secret: client.secret,
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['https://app.example/callback'],
      // The default wants an RSA key, for ID tokens that nobody asks for here.
      id_token_signed_response_alg: 'ES256',
    },
  ],
  jwks: { keys: [{ ...privateJwk, alg: 'ES256', use: 'sig' }] },
  findAccount: (_context: unknown, accountId: string) => ({ accountId, claims: () => ({ sub: accountId }) }),
  issueRefreshToken: () => true,
  rotateRefreshToken: true,
  scopes: [scope],
  ttl: { AccessToken: accessTokenTtl, Grant: 2_592_000, RefreshToken: 2_592_000 },
  features: {
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        audience,
        scope,
        accessTokenTTL: accessTokenTtl,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});

/** What an authorization code would give. */
async function newRefreshToken(): Promise<string> {
  const grant = new provider.Grant({ accountId: subject, clientId: client.id });
  grant.addResourceScope(audience, scope);
  const refreshToken = new provider.RefreshToken({
    accountId: subject,
    client: await provider.Client.find(client.id),
    grantId: await grant.save(),
    gty: 'authorization_code',
    authTime: Math.floor(Date.now() / 1000),
    resource: audience,
    scope,
  });
  return refreshToken.save();
}

const callback = provider.callback();
createServer((request, response) => {
  if (request.url !== '/refresh-token') return callback(request, response);
  newRefreshToken().then(
    (token) => response.end(token),
    (error: Error) => response.writeHead(500).end(error.stack),
  );
}).listen(port, '127.0.0.1');
