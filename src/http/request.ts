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
  const { rawHeaders } = request.raw;
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] as string;
    if (name.length === 13 && name.toLowerCase() === 'authorization') count += 1;
  }
  if (count > 1) throw new ProtocolError('invalid_request', 'the Authorization header is sent more than once');
  return request.headers.authorization;
}
