import { type Client, clientAuthMethods } from '../../protocol/client.ts';
import { ProtocolError } from '../../protocol/error.ts';
import type { ForgedToken } from '../../protocol/observation.ts';
import { formatScope } from '../../protocol/scope.ts';
import type { NumericDate } from '../../protocol/time.ts';
import type { User } from '../../protocol/user.ts';
import type { Database } from '../../store/database.ts';
import { findGrant } from '../../store/grant.ts';
import type { AccessTokenClaims } from '../../tokens/claims.ts';
import type { OnForged, TokenReader } from '../../tokens/verification.ts';
import { type AddressOf, whenceOf } from '../address.ts';
import type { ClientAuthenticator } from '../client-authentication.ts';
import type { Endpoint } from '../endpoint.ts';
import { requireForm, requireOneAuthorization } from '../request.ts';

export interface IntrospectionEndpointServices {
  readonly authenticator: ClientAuthenticator;
  readonly reader: TokenReader;
  readonly database: Database;
  /** The user of that id, if there is one. */
  user(id: string): Promise<User | undefined>;
  now(): NumericDate;
  readonly addressOf: AddressOf;
  /** Told of tokens in our name that we have not signed. */
  observe(forged: ForgedToken): unknown;
}

const inactive = { active: false };

/**
 * The introspection endpoint (RFC 7662), for the client a token was issued to and those that serve its audience. An access
 * token is active by the rule of verifiers, and asks the database nothing unless the person's name is due; a refresh
 * token is where its grant stands and it is the newest of it, which is one statement. All else is one answer.
 */
export function introspectionEndpoint(services: IntrospectionEndpointServices): Endpoint {
  const { authenticator, reader, database, user, now, addressOf } = services;
  const observe = (seen: Omit<ForgedToken, 'kind' | 'at'>) =>
    void services.observe({ kind: 'forged token', at: now(), ...seen });

  /** The token's own claims, which who holds it can read there. */
  async function accessToken(claims: AccessTokenClaims, client: Client): Promise<object> {
    const serves = [claims.aud].flat().some((audience) => client.serves.includes(audience));
    if (claims.client_id !== client.id && !serves) return inactive;
    const username = await usernameOf(claims);
    return { active: true, token_type: 'Bearer', ...claims, ...(username !== undefined && { username }) };
  }

  /** The e-mail address where userinfo would say it for this very token: nobody learns more here than there. */
  async function usernameOf({ scope, sub }: AccessTokenClaims): Promise<string | undefined> {
    const tokens = scope?.split(' ') ?? [];
    return tokens.includes('openid') && tokens.includes('email') ? (await user(sub))?.email : undefined;
  }

  async function refreshToken(text: string, client: Client, onForged: OnForged): Promise<object> {
    const claims = await reader.refreshToken(text, onForged);
    if (claims?.client_id !== client.id) return inactive;
    const { iss, aud, sub, client_id, iat, exp, gid: grantId, gen } = claims;
    const standing = await findGrant(database, { grantId, clientId: client.id }, now(), 0);
    if (standing === undefined || gen < standing.generation) return inactive;
    // No token_type: it is nothing that a resource service could take (RFC 6749 §7.1).
    return { active: true, scope: formatScope(standing.grant.scope), iss, aud, sub, client_id, iat, exp };
  }

  return {
    path: '/introspect',
    method: 'POST',
    serves: 'machines',
    metadata: (url) => ({
      introspection_endpoint: url,
      introspection_endpoint_auth_methods_supported: clientAuthMethods.filter((method) => method !== 'none'),
    }),
    async handle(message) {
      const form = requireForm(message);
      const client = await authenticator.authenticateConfidential(requireOneAuthorization(message), form, now());
      const token = form.get('token');
      if (token === undefined) throw new ProtocolError('invalid_request', 'token is missing');
      const onForged = () => observe({ whence: whenceOf(message, addressOf), clientId: client.id });
      const claims = await reader.accessToken(token, onForged);
      return claims === undefined ? refreshToken(token, client, onForged) : accessToken(claims, client);
    },
  };
}
