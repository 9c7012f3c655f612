import type { FastifyReply, FastifyRequest } from 'fastify';
import { ProtocolError } from '../../protocol/error.ts';
import type { ForgedToken } from '../../protocol/observation.ts';
import type { NumericDate } from '../../protocol/time.ts';
import type { User } from '../../protocol/user.ts';
import type { TokenReader } from '../../tokens/verification.ts';
import { type AddressOf, whenceOf } from '../address.ts';
import type { Endpoint } from '../endpoint.ts';
import type { Form } from '../form.ts';
import { requireOneAuthorization } from '../request.ts';

export interface UserinfoServices {
  readonly reader: TokenReader;
  /** The user of that id, if there is one and nothing has ended their tokens. */
  user(id: string): Promise<User | undefined>;
  now(): NumericDate;
  readonly addressOf: AddressOf;
  /** Told of tokens in our name that we have not signed. */
  observe(forged: ForgedToken): unknown;
}

/** Userinfo (OpenID Connect Core §5.3): claims about the person, as the scope of the access token allows (§5.4). */
export function userinfoEndpoints({ reader, user, now, addressOf, observe }: UserinfoServices): Endpoint[] {
  async function handle(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    reply.header('cache-control', 'no-store');
    const token = readBearer(request);
    if (token === undefined) {
      return reply.code(401).header('www-authenticate', 'Bearer').send();
    }
    const claims = await reader.requireAccessToken(token, () =>
      observe({ kind: 'forged token', at: now(), whence: whenceOf(request, addressOf), clientId: undefined }),
    );
    const scope = claims.scope?.split(' ') ?? [];
    const found = scope.includes('openid') ? await user(claims.sub) : undefined;
    if (!scope.includes('openid')) throw new ProtocolError('insufficient_scope', 'the token has no scope openid');
    if (found === undefined || found.disabledAt !== null || (claims.sub_epoch ?? 0) < found.epoch) {
      throw new ProtocolError('invalid_token', 'the access token is expired, revoked or not for this service');
    }
    return {
      sub: found.id,
      ...(scope.includes('profile') && found.name !== null && { name: found.name }),
      ...(scope.includes('email') && { email: found.email, email_verified: found.emailVerified }),
    };
  }

  return [
    {
      path: '/userinfo',
      method: 'GET',
      serves: 'machines',
      readableBy: 'registered origins',
      metadata: (url) => ({
        userinfo_endpoint: url,
        claims_supported: [
          'sub',
          'iss',
          'aud',
          'exp',
          'iat',
          'auth_time',
          'nonce',
          'amr',
          'sid',
          'name',
          'email',
          'email_verified',
        ],
      }),
      handle: bearerErrors(handle),
    },
    {
      path: '/userinfo',
      method: 'POST',
      serves: 'machines',
      readableBy: 'registered origins',
      handle: bearerErrors(handle),
    },
  ];
}

/** The bearer token of the header or of the form body, not of both and not of the URL (RFC 6750 §2). */
function readBearer(request: FastifyRequest): string | undefined {
  const header = requireOneAuthorization(request);
  const inBody = (request.body as Form | undefined | null)?.get('access_token');
  const inHeader = header === undefined ? undefined : /^bearer +(\S.*)$/i.exec(header)?.[1];
  if (header !== undefined && inBody !== undefined) {
    throw new ProtocolError('invalid_request', 'the token is sent in the header and in the body');
  }
  return inHeader ?? inBody;
}

/** Errors as RFC 6750 §3 writes them: in the challenge, and in the body for people. */
function bearerErrors(handle: Endpoint['handle']): Endpoint['handle'] {
  return async (request, reply) => {
    try {
      return await handle(request, reply);
    } catch (error) {
      if (error instanceof ProtocolError && error.status < 500) {
        reply.header('www-authenticate', `Bearer error="${error.code}", error_description="${error.message}"`);
      }
      throw error;
    }
  };
}
