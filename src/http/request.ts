/** What handlers ask of a request, strictly. */
import type { FastifyRequest } from 'fastify';
import { ProtocolError } from '../protocol/error.ts';
import type { Form } from './form.ts';

/** The parsed form. Throws `invalid_request` where the request has no body. */
export function requireForm(request: FastifyRequest): Form {
  if (request.body === undefined || request.body === null) {
    throw new ProtocolError('invalid_request', 'the request has no form body');
  }
  return request.body as Form;
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
