/**
 * Owns HTTP: routes the list of endpoints, parses forms, maps errors. Decides nothing about tokens, keys or grants.
 */
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import type { Logger } from 'pino';
import { ProtocolError } from '../protocol/error.ts';
import type { Endpoint } from './endpoint.ts';
import type { Readiness } from './endpoints/health.ts';
import { sendClientError, sendError } from './errors.ts';
import { parseForm } from './form.ts';

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
    routerOptions: { ignoreTrailingSlash: false, caseSensitive: true },
    http: { maxHeaderSize: 16 * 1024 },
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
    const path = request.url.split('?', 1)[0];
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
      const methods = [allowed.get(url), endpoint.method === 'GET' ? 'GET, HEAD' : 'POST'].filter(Boolean);
      allowed.set(url, methods.join(', '));
    }
  }

  server.setNotFoundHandler((request, reply) => {
    const methods = allowed.get(request.url.split('?', 1)[0] ?? '');
    if (methods !== undefined) reply.code(405).header('allow', methods);
    else reply.code(404);
    const description = methods === undefined ? 'there is nothing here' : 'this endpoint is not for that method';
    return reply.header('cache-control', 'no-store').send(new ProtocolError('invalid_request', description).toJSON());
  });
  return server;
}

function route(server: FastifyInstance, url: string, endpoint: Endpoint, { readiness }: ServerOptions): void {
  const always = endpoint.path.startsWith('/health/');
  const handler = (request: FastifyRequest, reply: FastifyReply): unknown => {
    if (!always) requireReady(readiness(), endpoint);
    if (endpoint.anyOrigin) reply.header('access-control-allow-origin', '*');
    if (endpoint.method === 'POST') reply.header('cache-control', 'no-store');
    return endpoint.handle(request, reply);
  };
  server.route({ url, method: endpoint.method, handler });
}

/** Until the first reading there is nothing to answer with; after it, public documents are always good. */
function requireReady({ status }: Readiness, { method }: Endpoint): void {
  if (status === 'starting' || (status === 'unready' && method === 'POST')) {
    throw new ProtocolError('temporarily_unavailable', 'not ready to answer', { retryAfter: 1 });
  }
}
