/** What handlers ask of a request, strictly. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ProtocolError } from '../protocol/error.ts';
import type { Form } from './form.ts';

/** The parsed form. Throws `invalid_request` where the request has no body. */
export function requireForm(request: FastifyRequest): Form {
  if (request.body === undefined || request.body === null) {
    throw new ProtocolError('invalid_request', 'the request has no form body');
  }
  return request.body as Form;
}

/** The query as it came, to be read by the same strict rules as a form. */
export function queryOf(request: FastifyRequest): string {
  const at = request.url.indexOf('?');
  return at === -1 ? '' : request.url.slice(at + 1);
}

/**
 * The Authorization header, if there is one. Throws `invalid_request` where there are two: Node keeps the first of
 * them, another server on the way may have looked at the last.
 */
export function requireOneAuthorization(request: FastifyRequest): string | undefined {
  if (countHeader(request, 'authorization') > 1) {
    throw new ProtocolError('invalid_request', 'the Authorization header is sent more than once');
  }
  return request.headers.authorization;
}

const host = /^[\w.~!$&'()*+,;=%:[\]-]*$/;

/** Whether it names one host, as it has to from HTTP/1.1 on (RFC 9112 §3.2). We never ask which. */
export function hasOneHost(request: FastifyRequest): boolean {
  const count = countHeader(request, 'host');
  if (count === 0) return request.raw.httpVersion === '1.0';
  return count === 1 && host.test(request.headers.host ?? '');
}

/** How many lines of the request have that name (in lower case). */
function countHeader(request: FastifyRequest, name: string): number {
  const { rawHeaders } = request.raw;
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const other = rawHeaders[at] as string;
    if (other.length === name.length && other.toLowerCase() === name) count += 1;
  }
  return count;
}

/**
 * Sends a browser on: by 303, so that what it posted here is never posted there (RFC 9700 §4.12), and without telling
 * the next page where it came from, as the address may hold a code.
 */
export function redirect(reply: FastifyReply, location: string): FastifyReply {
  return reply.code(303).headers({ location, 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' }).send();
}

/**
 * That a form of ours was posted by a page of ours, as browsers say it (DESIGN §3.6). Older ones say neither, and then
 * the form's CSRF value has to do. Throws `access_denied`.
 */
export function requireSameOrigin(request: FastifyRequest, issuer: string): void {
  const { origin, 'sec-fetch-site': site } = request.headers;
  const foreign =
    (origin !== undefined && origin !== new URL(issuer).origin) || (site !== undefined && site !== 'same-origin');
  if (foreign) throw new ProtocolError('access_denied', 'the form came from another site');
}
