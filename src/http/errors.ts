/** The one mapper from what was thrown to what the client sees, and the only place that logs it. */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { ProtocolError } from '../protocol/error.ts';

/** Fastify's own refusals, in the protocol's words; their status stays (413, 415, …). Others become `invalid_request`. */
const descriptions: Record<string, string> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'the body is too large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'the body must be application/x-www-form-urlencoded',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'the body is not as long as Content-Length says',
  FST_ERR_CTP_EMPTY_TYPE: 'the body must be application/x-www-form-urlencoded',
};

/** Answers with the error as RFC 6749 §5.2 writes it. What is not the client's doing is logged and told to nobody. */
export function sendError(error: FastifyError | ProtocolError, request: FastifyRequest, reply: FastifyReply): void {
  const known = toProtocolError(error);
  if (known.status >= 500 && known.code !== 'temporarily_unavailable')
    request.log.error({ reqId: request.id, err: error }, 'request failed');
  if (known.challenge !== undefined) reply.header('www-authenticate', known.challenge);
  if (known.retryAfter !== undefined) reply.header('retry-after', known.retryAfter);
  const transportStatus = !(error instanceof ProtocolError) && known.status < 500 ? error.statusCode : undefined;
  void reply
    .code(keptStatus(transportStatus) ?? known.status)
    .header('cache-control', 'no-store')
    .type('application/json')
    .send(JSON.stringify(known));
}

/** A body of the wrong type is malformed to the protocol (400, RFC 6749 §5.2); too large stays 413, and so on. */
function keptStatus(status: number | undefined): number | undefined {
  return status === 415 ? 400 : status;
}

function toProtocolError(error: FastifyError | ProtocolError): ProtocolError {
  if (error instanceof ProtocolError) return error;
  if (error.statusCode !== undefined && error.statusCode < 500) {
    return new ProtocolError('invalid_request', descriptions[error.code] ?? 'the request is malformed');
  }
  return new ProtocolError('server_error', 'something went wrong here; it has been logged');
}

/** Milliseconds in which a client that was refused may read why. */
const linger = 1_000;

/** Answers what is not even HTTP, before any handler: 400, 408, 413 or 431, and the connection ends. */
export function sendClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = clientErrors[error.code ?? ''] ?? 400;
  const body = JSON.stringify(new ProtocolError('invalid_request', 'the request is malformed'));
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\n` +
      `Cache-Control: no-store\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
  // A client that never ends its side would keep the connection for ever.
  setTimeout(() => socket.destroy(), linger).unref();
}

const clientErrors: Record<string, number> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  HPE_HEADER_OVERFLOW: 431,
};
