import { clientAuthMethods } from '../../protocol/client.ts';
import { ProtocolError } from '../../protocol/error.ts';
import type { NumericDate } from '../../protocol/time.ts';
import type { Revoker } from '../../tokens/revocation.ts';
import type { TokenReader } from '../../tokens/verification.ts';
import type { ClientAuthenticator } from '../client-authentication.ts';
import type { Endpoint } from '../endpoint.ts';
import { requireForm, requireOneAuthorization } from '../request.ts';

export interface RevocationEndpointServices {
  readonly authenticator: ClientAuthenticator;
  readonly reader: TokenReader;
  readonly revoker: Revoker;
  now(): NumericDate;
}

const reason = 'revoked by its client';

/**
 * The revocation endpoint (RFC 7009). An access token is void by itself, a refresh token ends its grant with all that came
 * of it. What is not the client's own, or no token of ours that is alive, is answered alike and changes nothing. A token
 * says by itself what it is, so `token_type_hint` is not looked at. The answer means: committed, and in force here.
 */
export function revocationEndpoint({ authenticator, reader, revoker, now }: RevocationEndpointServices): Endpoint {
  return {
    path: '/revoke',
    method: 'POST',
    readableBy: 'registered origins',
    metadata: (url) => ({
      revocation_endpoint: url,
      revocation_endpoint_auth_methods_supported: [...clientAuthMethods],
    }),
    async handle(message, reply) {
      const form = requireForm(message);
      const client = await authenticator.authenticate(requireOneAuthorization(message), form, now());
      const token = form.get('token');
      if (token === undefined) throw new ProtocolError('invalid_request', 'token is missing');

      const own = revoker.by({ actor: `client ${client.id}`, address: message.ip });
      const access = await reader.accessToken(token);
      if (access?.client_id === client.id) {
        const { jti, exp, sub } = access;
        const revoked = await own.revokeToken({ jti, exp, clientId: client.id }, reason);
        if (revoked) message.log.info({ client: client.id, sub, jti }, 'token revoked');
      }
      const refresh = await reader.refreshToken(token);
      if (refresh?.client_id === client.id) {
        const ended = await own.endGrant(refresh.gid, reason);
        if (ended) message.log.info({ client: client.id, sub: refresh.sub }, 'grant revoked');
      }
      const identity = await reader.idTokenHint(token);
      if (identity?.aud === client.id) {
        throw new ProtocolError('unsupported_token_type', 'an ID token cannot be revoked');
      }
      return reply.send();
    },
  };
}
