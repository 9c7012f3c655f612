import type { GrantType } from './grant-type.ts';

/** RFC 6749 §4.4: the client's own credentials are the grant. It acts for itself, and gets no refresh token (§4.4.3). */
export const clientCredentials: GrantType = {
  name: 'client_credentials',
  redeem({ client }) {
    return { client, subject: client.id, scope: client.scopes, resources: client.resources };
  },
};
