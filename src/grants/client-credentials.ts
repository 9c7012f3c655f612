import { ProtocolError } from '../protocol/error.ts';
import type { GrantType } from './grant-type.ts';

/**
 * RFC 6749 §4.4: the client's own credentials are the grant, so there is none for a public client. It acts for itself,
 * and gets no refresh token (§4.4.3).
 */
export const clientCredentials: GrantType = {
  name: 'client_credentials',
  redeem({ client }) {
    if (client.authMethod === 'none') {
      throw new ProtocolError('unauthorized_client', 'a public client has no credentials of its own');
    }
    return { client, subject: client.id, scope: client.scopes, resources: client.resources };
  },
};
