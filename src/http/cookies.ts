/** Our cookies: names and attributes follow from the issuer's scheme alone, never from a request. */
import type {} from '@fastify/cookie';
import type { FastifyReply, FastifyRequest } from 'fastify';

export interface Cookies {
  /** The session's cookie. */
  session(request: FastifyRequest): string | undefined;
  setSession(reply: FastifyReply, value: string): void;
  clearSession(reply: FastifyReply): void;
  /** The browser's secret. */
  browser(request: FastifyRequest): string | undefined;
  setBrowser(reply: FastifyReply, value: string): void;
  /** What the browser was told to remember of who has signed in by it. */
  known(request: FastifyRequest): string | undefined;
  setKnown(reply: FastifyReply, value: string): void;
}

/** A browser that has not signed in for so long is a stranger again. Seconds. */
const knownFor = 180 * 86_400;

/**
 * `__Host-` cookies where the issuer is `https:`: no other host, and no plain connection, can set or read one. On http
 * loopback, where browsers refuse the prefix, the plain name.
 */
export function createCookies(issuer: string): Cookies {
  const secure = issuer.startsWith('https:');
  const prefix = secure ? '__Host-' : '';
  const [session, browser, known] = [`${prefix}kt_session`, `${prefix}kt_browser`, `${prefix}kt_known`];
  // Lax, since the way to /authorize begins on another site.
  const attributes = { path: '/', httpOnly: true, secure, sameSite: 'lax' } as const;
  return {
    session: (request) => request.cookies[session],
    setSession: (reply, value) => void reply.setCookie(session, value, attributes),
    clearSession: (reply) => void reply.clearCookie(session, attributes),
    browser: (request) => request.cookies[browser],
    setBrowser: (reply, value) => void reply.setCookie(browser, value, attributes),
    known: (request) => request.cookies[known],
    setKnown: (reply, value) => void reply.setCookie(known, value, { ...attributes, maxAge: knownFor }),
  };
}
