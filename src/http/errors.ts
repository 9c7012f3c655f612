/** The one mapper from what was thrown to what the client sees, and the only place that logs it. */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { type ErrorCode, ProtocolError } from '../protocol/error.ts';
import { isDatabaseAway } from '../store/database-errors.ts';

/** Fastify's own refusals, in the protocol's words; their status stays (413, 415, …). Others become `invalid_request`. */
const descriptions: Record<string, string> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'the body is too large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'the body must be application/x-www-form-urlencoded',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'the body is not as long as Content-Length says',
  FST_ERR_CTP_EMPTY_TYPE: 'the body must be application/x-www-form-urlencoded',
};

/** Answers with the error as RFC 6749 §5.2 writes it. */
export function sendError(error: FastifyError | ProtocolError, request: FastifyRequest, reply: FastifyReply): void {
  const known = explainError(error, request, reply);
  if (known.challenge !== undefined) reply.header('www-authenticate', known.challenge);
  void reply.header('cache-control', 'no-store').type('application/json').send(JSON.stringify(known));
}

/**
 * The error in the protocol's words, with its status and `Retry-After` on the reply already. What is our own doing is
 * logged here, and told to nobody.
 */
export function explainError(error: unknown, request: FastifyRequest, reply: FastifyReply): ProtocolError {
  const known = toProtocolError(error);
  if (known.code === 'server_error') request.log.error({ reqId: request.id, err: error }, 'request failed');
  if (known.retryAfter !== undefined) reply.header('retry-after', known.retryAfter);
  noteOutcome(reply, known.code);
  reply.code(transportStatus(error) ?? known.status);
  return known;
}

/** What came of requests that were not answered as asked, for whoever counts them. */
const outcomes = new WeakMap<FastifyReply, ErrorCode>();

/** Notes that an answer says an error, where that goes out by another way than being thrown. */
export function noteOutcome(reply: FastifyReply, code: ErrorCode): void {
  outcomes.set(reply, code);
}

/** What an answer comes to: the code of its error, `refused` where it has none, else `ok`. */
export function outcomeOf(reply: FastifyReply): ErrorCode | 'refused' | 'ok' {
  return outcomes.get(reply) ?? (reply.statusCode >= 400 ? 'refused' : 'ok');
}

/** A body of the wrong type is malformed to the protocol (400, RFC 6749 §5.2); too large stays 413, and so on. */
function transportStatus(error: unknown): number | undefined {
  if (error instanceof ProtocolError) return undefined;
  const { statusCode = 500 } = error as Partial<FastifyError>;
  if (statusCode >= 500) return undefined;
  return statusCode === 415 ? 400 : statusCode;
}

function toProtocolError(error: unknown): ProtocolError {
  if (error instanceof ProtocolError) return error;
  const { statusCode = 500, code = '' } = error as Partial<FastifyError>;
  if (statusCode < 500) return new ProtocolError('invalid_request', descriptions[code] ?? 'the request is malformed');
  if (isDatabaseAway(error)) {
    return new ProtocolError('temporarily_unavailable', 'this cannot be done just now', { retryAfter: awayFor });
  }
  return new ProtocolError('server_error', 'something went wrong here; it has been logged');
}

/** Seconds after which the database may be back: most are, after a restart or a failover. */
const awayFor = 5;

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
