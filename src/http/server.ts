/**
 * Owns HTTP: routes the list of endpoints, parses forms, maps errors. Decides nothing about tokens, keys or grants.
 */
import Fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyReply, LogController } from 'fastify';
import type { Logger } from 'pino';
import { ProtocolError } from '../protocol/error.ts';
import type { Endpoint } from './endpoint.ts';
import type { Readiness } from './endpoints/health.ts';
import { sendClientError, sendError } from './errors.ts';
import { parseForm } from './form.ts';
import { hasOneHost } from './request.ts';

export interface ServerOptions {
  /** Paths of the endpoints lie below this one's. */
  readonly issuer: string;
  readonly endpoints: readonly Endpoint[];
  readonly log: Logger;
  /** Whose `X-Forwarded-For` to believe: addresses and networks. Empty: nobody's. */
  readonly trustProxy: readonly string[];
  /** Begins each request id, so that ids of several instances differ. */
  readonly instance: string;
  /** What the process can do at the moment; health is always served. */
  readiness(): Readiness;
}

/** Bytes. The longest request of the protocol is a few kilobytes. */
const bodyLimit = 64 * 1024;

/** Milliseconds in which a request must have arrived; a slow sender holds nothing but its connection. */
const requestTimeout = 15_000;

/** The same for its headers alone. Of the two Node takes the longer one for the whole, so this has to be the shorter. */
const headersTimeout = 10_000;

/** Milliseconds that requests under way get when the server closes. */
const closeTimeout = 5_000;

/** How often Node looks for late requests, in milliseconds. */
const connectionsCheckingInterval = 5_000;

/** What a browser asks before it sends a header of its own, such as `If-None-Match`, to a public document. */
const preflight = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, HEAD',
  'access-control-allow-headers': '*',
  'access-control-max-age': '86400',
};

export function createServer(options: ServerOptions): FastifyInstance {
  const { log } = options;
  let requests = 0;
  const server = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit,
    requestTimeout,
    trustProxy: options.trustProxy.length > 0 ? [...options.trustProxy] : false,
    genReqId: () => `${options.instance}-${(requests++).toString(36)}`,
    clientErrorHandler: sendClientError,
    frameworkErrors: sendError,
    forceCloseConnections: 'idle',
    return503OnClosing: false, // what has arrived is answered, with `Connection: close`
    routerOptions: { ignoreTrailingSlash: false, caseSensitive: true },
    // Without `requireHostHeader` Node leaves the Host header to us: its own refusal has no body.
    http: { maxHeaderSize: 16 * 1024, headersTimeout, connectionsCheckingInterval, requireHostHeader: false },
  });
  // By itself Node drops CONNECT without a word, and refuses an unknown expectation without a body.
  server.server.on('connect', (_request, socket) => sendClientError(new Error('not a proxy'), socket));
  server.server.on('checkExpectation', server.routing);

  // Once it closes, Node neither ends connections when they fall idle, nor looks for requests that never end.
  server.addHook('preClose', async () => {
    const idle = setInterval(() => server.server.closeIdleConnections(), 50).unref();
    const late = setTimeout(() => server.server.closeAllConnections(), closeTimeout).unref();
    server.server.once('close', () => {
      clearInterval(idle);
      clearTimeout(late);
    });
  });

  server.removeAllContentTypeParsers();
  server.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, parseForm(body as string));
    } catch (error) {
      done(error as Error);
    }
  });
  server.setErrorHandler(sendError);

  // A request is logged by its path alone: a query may hold what should not have been in it.
  server.addHook('onResponse', async (request, reply) => {
    const level = reply.statusCode >= 500 ? 'warn' : 'debug';
    if (!log.isLevelEnabled(level)) return;
    const path = pathOf(request.url);
    const took = Math.round(reply.elapsedTime * 10) / 10;
    request.log[level](
      { method: request.method, path, status: reply.statusCode, ms: took, ip: request.ip },
      'answered',
    );
  });

  const basePath = new URL(options.issuer).pathname.replace(/\/$/, '');
  const allowed = new Map<string, string>();
  for (const endpoint of options.endpoints) {
    for (const url of [`${basePath}${endpoint.path}`, ...(endpoint.fromRoot ?? [])]) {
      route(server, url, endpoint, options);
      allowed.set(url, [allowed.get(url), methodsOf(endpoint)].filter(Boolean).join(', '));
    }
  }

  // Before a body is read, so that it does not matter what is in it.
  server.addHook('onRequest', (request, reply, done) => {
    if (!hasOneHost(request)) done(new ProtocolError('invalid_request', 'a request needs one Host header'));
    else if (request.is404) sendNotHere(reply, allowed.get(pathOf(request.url)));
    else done();
  });
  return server;
}

function route(server: FastifyInstance, url: string, endpoint: Endpoint, { readiness }: ServerOptions): void {
  const { method, anyOrigin } = endpoint;
  const always = endpoint.path.startsWith('/health/');
  server.route({
    url,
    method,
    onRequest(_request, reply, done) {
      if (anyOrigin) reply.header('access-control-allow-origin', '*');
      if (method === 'POST') reply.header('cache-control', 'no-store');
      done(always ? undefined : whyNotReady(readiness(), endpoint));
    },
    handler: (request, reply) => endpoint.handle(request, reply),
  });
  if (anyOrigin) {
    server.options(url, (_request, reply) => reply.code(204).headers(preflight).send());
  }
}

function methodsOf({ method, anyOrigin }: Endpoint): string {
  if (method === 'POST') return 'POST';
  return anyOrigin ? 'GET, HEAD, OPTIONS' : 'GET, HEAD';
}

/** 404, or 405 where other methods find something (RFC 9110 §15.5.6). */
function sendNotHere(reply: FastifyReply, methods: string | undefined): void {
  if (methods !== undefined) reply.code(405).header('allow', methods);
  else reply.code(404);
  const description = methods === undefined ? 'there is nothing here' : 'this endpoint is not for that method';
  reply.header('cache-control', 'no-store').send(new ProtocolError('invalid_request', description).toJSON());
}

/** The path of a request target, be it in origin form or in absolute form (RFC 9112 §3.2). */
function pathOf(target: string): string {
  return target.replace(/^https?:\/\/[^/?#]*/i, '').split(/[?#]/, 1)[0] as string;
}

/** Until the first reading there is nothing to answer with; after it, public documents are always good. */
function whyNotReady({ status }: Readiness, { method }: Endpoint): ProtocolError | undefined {
  const ready = status === 'ok' || status === 'degraded' || (status === 'unready' && method === 'GET');
  return ready ? undefined : new ProtocolError('temporarily_unavailable', 'not ready to answer', { retryAfter: 1 });
}
