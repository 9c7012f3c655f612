/** The cookies of a first-party client: its tokens, where no script can read them. */
import type { CookieSerializeOptions } from '@fastify/cookie';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Client } from '../protocol/client.ts';
import type { Seconds } from '../protocol/time.ts';

export interface SessionCookies {
  set(reply: FastifyReply, client: Client, tokens: CookieTokens): void;
  clear(reply: FastifyReply, client: Client): void;
  /** The client's refresh token. */
  refreshToken(request: FastifyRequest, client: Client): string | undefined;
}

export interface CookieTokens {
  readonly access: string;
  readonly accessLife: Seconds;
  readonly refresh: string;
  readonly refreshLife: Seconds;
}

/**
 * `__Secure-kt-<client>` with the access token goes to the whole site; the refresh token to `/session` alone. Both are
 * SameSite=Strict: no other site can have them sent.
 */
export function createSessionCookies(issuer: string): SessionCookies {
  const secure = issuer.startsWith('https:');
  const prefix = secure ? '__Secure-' : '';
  const base = new URL(issuer).pathname.replace(/\/$/, '');
  const accessName = ({ id }: Client) => `${prefix}kt-${id}`;
  const refreshName = ({ id }: Client) => `${prefix}kt-refresh-${id}`;

  function attributes({ cookieDomain }: Client, path: string): CookieSerializeOptions {
    const domain = cookieDomain === null ? {} : { domain: cookieDomain };
    return { path, httpOnly: true, secure, sameSite: 'strict', ...domain };
  }

  return {
    set(reply, client, { access, accessLife, refresh, refreshLife }) {
      reply.setCookie(accessName(client), access, { ...attributes(client, '/'), maxAge: accessLife });
      // Never to the whole domain: nobody but the issuer reads it.
      const own = attributes({ ...client, cookieDomain: null }, `${base}/session`);
      reply.setCookie(refreshName(client), refresh, { ...own, maxAge: refreshLife });
    },
    clear(reply, client) {
      reply.clearCookie(accessName(client), attributes(client, '/'));
      reply.clearCookie(refreshName(client), attributes({ ...client, cookieDomain: null }, `${base}/session`));
    },
    refreshToken: (request, client) => request.cookies[refreshName(client)],
  };
}
