import type { FastifyRequest } from 'fastify';
import type { GrantServices } from '../../grants/grant-type.ts';
import { grantTypes } from '../../grants/index.ts';
import { type Client, clientAuthMethods } from '../../protocol/client.ts';
import { ProtocolError } from '../../protocol/error.ts';
import type { NumericDate } from '../../protocol/time.ts';
import type { Registry } from '../../store/registry.ts';
import { narrow } from '../../tokens/authorization.ts';
import type { Mint } from '../../tokens/mint.ts';
import { type AddressOf, whenceOf } from '../address.ts';
import type { ClientAuthenticator } from '../client-authentication.ts';
import type { Endpoint } from '../endpoint.ts';
import type { Rate } from '../rate.ts';
import { requireForm, requireOneAuthorization } from '../request.ts';

export interface TokenEndpointServices {
  readonly grantServices: GrantServices;
  readonly registry: Registry;
  readonly authenticator: ClientAuthenticator;
  readonly mint: Mint;
  now(): NumericDate;
  /** Seconds since 1970, with fractions. */
  exactNow(): number;
  readonly addressOf: AddressOf;
  /** How often one client may ask. */
  readonly rate: Rate;
  readonly onIssued?: ((grantType: string, alg: string) => void) | undefined;
}

/**
 * The token endpoint (RFC 6749 §3.2). The steps are the same for every grant type, in this order: form, grant type,
 * client, may this client use it, the grant itself, audience and scope, token. None of them asks the database by itself.
 */
export function tokenEndpoint(services: TokenEndpointServices): Endpoint {
  const { registry, authenticator, mint, now, exactNow, addressOf, rate, grantServices } = services;
  /** Whose rate a request counts to. Anybody can say the id of a public client: there it is each address's own. */
  function payer({ id, authMethod }: Client, message: FastifyRequest): string {
    return authMethod === 'none' ? `${id} ${addressOf(message)}` : id;
  }

  return {
    path: '/token',
    method: 'POST',
    serves: 'machines',
    readableBy: 'registered origins',
    metadata: (url) => ({
      token_endpoint: url,
      grant_types_supported: [...grantTypes.keys()],
      token_endpoint_auth_methods_supported: [...clientAuthMethods],
    }),
    async handle(message, reply) {
      const form = requireForm(message);
      const name = form.get('grant_type');
      if (name === undefined) throw new ProtocolError('invalid_request', 'grant_type is missing');
      const grantType = grantTypes.get(name);
      if (grantType === undefined) throw new ProtocolError('unsupported_grant_type', 'no such grant type here');

      const client = await authenticator.authenticate(requireOneAuthorization(message), form, now());
      const retryAfter = rate.take(payer(client, message), exactNow());
      if (retryAfter > 0) {
        throw new ProtocolError('temporarily_unavailable', 'too many requests', { retryAfter, tooMany: true });
      }
      if (!client.grantTypes.includes(grantType.name)) {
        throw new ProtocolError('unauthorized_client', 'the client is not registered for this grant type');
      }
      const whence = () => whenceOf(message, addressOf);
      const request = { client, parameter: form.get, now: now(), whence };
      const asked = { scope: form.get('scope'), resources: form.all('resource') };
      if (asked.scope !== undefined || asked.resources.length > 0) {
        const preview = await grantType.preview?.(request, grantServices);
        if (preview !== undefined) narrow(preview, asked, registry.resource);
      }
      const authorization = await grantType.redeem(request, grantServices);
      const target = narrow(authorization, asked, registry.resource);
      const { behind } = authorization;
      const identity = behind !== undefined && target.scope.includes('openid');
      // Asked for together, so that they are signed in one turn of the event loop.
      const [issued, idToken, refresh] =
        behind === undefined
          ? [await mint.accessToken(authorization, target)]
          : await Promise.all([
              mint.accessToken(authorization, target),
              identity ? mint.idToken(authorization, behind) : undefined,
              behind.refresh && mint.refreshToken(authorization, behind, behind.refresh),
            ]);

      services.onIssued?.(name, target.alg);
      const aud = target.resource?.identifier;
      message.log.info(
        { reqId: message.id, client: client.id, grant: name, sub: behind?.grant.userId, aud, jti: issued.jti },
        'token issued',
      );
      return reply.send({
        access_token: issued.token,
        token_type: 'Bearer',
        expires_in: issued.expiresIn,
        ...(issued.scope !== '' && { scope: issued.scope }),
        ...(idToken !== undefined && { id_token: idToken }),
        ...(refresh !== undefined && { refresh_token: refresh }),
      });
    },
  };
}
