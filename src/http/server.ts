/**
 * Owns HTTP: routes the list of endpoints, parses forms, maps errors. Decides nothing about tokens, keys or grants.
 */
import cookie from '@fastify/cookie';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
  type onRequestHookHandler,
} from 'fastify';
import type { Logger } from 'pino';
import { ProtocolError } from '../protocol/error.ts';
import { type AdmissionOptions, type Admit, createAdmission } from './admission.ts';
import type { Endpoint } from './endpoint.ts';
import { sendClientError, sendError } from './errors.ts';
import { parseForm } from './form.ts';
import { hasOneHost } from './request.ts';
import type { Certificate } from './tls.ts';
import { type Watchers, watch } from './watching.ts';

export interface ServerOptions extends AdmissionOptions, Watchers {
  /** Paths of the endpoints lie below this one's. */
  readonly issuer: string;
  readonly endpoints: readonly Endpoint[];
  readonly log: Logger;
  /** Speaks TLS by it; plain HTTP where there is none. */
  readonly certificate?: Certificate | undefined;
  /** Whose `X-Forwarded-For` to believe: addresses and networks. Empty: nobody's. */
  readonly trustProxy: readonly string[];
  /** Begins each request id, so that ids of several instances differ. */
  readonly instance: string;
  /** Whether a client has registered the origin, and whether a first-party client has. */
  isRegisteredOrigin(origin: string): boolean;
  isFirstPartyOrigin(origin: string): boolean;
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

const connections = {
  maxHeaderSize: 16 * 1024,
  headersTimeout,
  connectionsCheckingInterval,
  // Node leaves the Host header to us: its own refusal has no body.
  requireHostHeader: false,
};

export async function createServer(options: ServerOptions): Promise<FastifyInstance> {
  const { log } = options;
  let requests = 0;
  const server = Fastify({
    // With a logger of its own Fastify listens for the end of every answer, which costs more than sending the JWKS.
    logger: false,
    // One for all requests: who logs names the request, which costs less than a logger for each.
    childLoggerFactory: () => log as FastifyBaseLogger,
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
    ...({ [options.certificate === undefined ? 'http' : 'https']: { ...connections, ...options.certificate } } as {
      http: typeof connections;
    }),
  });
  // By itself Node drops CONNECT without a word, and refuses an unknown expectation without a body.
  server.server.on('connect', (_request, socket) => sendClientError(new Error('not a proxy'), socket));
  server.server.on('checkExpectation', server.routing);

  // Once it closes, Node neither ends connections when they fall idle, nor looks for requests that never end.
  server.addHook('preClose', async () => {
    for (const endpoint of options.endpoints) endpoint.close?.();
    const idle = setInterval(() => server.server.closeIdleConnections(), 50).unref();
    const late = setTimeout(() => server.server.closeAllConnections(), closeTimeout).unref();
    server.server.once('close', () => {
      clearInterval(idle);
      clearTimeout(late);
    });
  });

  await server.register(cookie);
  const admit = await createAdmission(server, options);
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, parseForm(body as string));
    } catch (error) {
      done(error as Error);
    }
  });
  server.setErrorHandler(sendError);

  if (log.isLevelEnabled('debug')) server.addHook('onResponse', logAnswer);

  const basePath = new URL(options.issuer).pathname.replace(/\/$/, '');
  const allowed = new Map<string, string>();
  for (const endpoint of options.endpoints) {
    for (const url of new Set([`${basePath}${endpoint.path}`, ...(endpoint.fromRoot ?? [])])) {
      route(server, url, endpoint, options, admit);
      const methods = [allowed.get(url), methodsOf(endpoint)].filter(Boolean).join(', ');
      allowed.set(url, [...new Set(methods.split(', '))].join(', '));
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

function route(server: FastifyInstance, url: string, endpoint: Endpoint, options: ServerOptions, admit: Admit): void {
  const { method } = endpoint;
  const secure = options.issuer.startsWith('https:');
  const admitHere = admit(endpoint);
  const { begin, handle, end } = watch(endpoint, options);
  const letIn: onRequestHookHandler = (request, reply, done) => {
    allowReading(request, reply, endpoint, options);
    if (method !== 'GET') reply.header('cache-control', 'no-store');
    // Of a year, for browsers alone (RFC 6797).
    if (secure && endpoint.serves === 'people') reply.header('strict-transport-security', 'max-age=31536000');
    const refusal = admitHere(request);
    if (refusal instanceof Promise) refusal.then(done, done);
    else done(refusal);
  };
  const add = (to: FastifyInstance) =>
    to.route({
      url,
      method,
      onRequest: begin === undefined ? letIn : [begin, letIn],
      ...(end && { onResponse: end }),
      handler: handle,
      ...(endpoint.sendError && { errorHandler: endpoint.sendError }),
    });
  if (endpoint.accepts === 'json') {
    // In a scope of its own: JSON is taken by the endpoints that want it and by no other.
    void server.register(async (scope) => {
      scope.removeAllContentTypeParsers();
      const parse = scope.getDefaultJsonParser('error', 'error');
      scope.addContentTypeParser('application/json', { parseAs: 'string', bodyLimit: jsonLimit }, parse);
      add(scope);
    });
  } else {
    add(server);
  }
  if (endpoint.readableBy === undefined || server.hasRoute({ url, method: 'OPTIONS' })) return;
  server.options(url, (request, reply) => {
    allowReading(request, reply, endpoint, options);
    return reply.code(204).headers(preflight).send();
  });
}

/** Bytes. What is sent as JSON is an address and a password. */
const jsonLimit = 4 * 1024;

/** What a browser asks before it sends a header of its own, such as `Authorization` or `If-None-Match`. */
const preflight = {
  'access-control-allow-methods': 'GET, HEAD, POST, DELETE',
  'access-control-allow-headers': 'Authorization, Content-Type, X-CSRF-Token, *',
  'access-control-max-age': '86400',
};

/** Says to a browser which pages may read the answer (the Fetch standard, CORS protocol). */
function allowReading(request: FastifyRequest, reply: FastifyReply, endpoint: Endpoint, options: ServerOptions): void {
  const { readableBy } = endpoint;
  if (readableBy === 'anyone') reply.header('access-control-allow-origin', '*');
  if (readableBy === undefined || readableBy === 'anyone') return;
  const { origin } = request.headers;
  const firstParty = readableBy === 'first-party origins';
  reply.header('vary', 'Origin');
  if (origin === undefined || !(firstParty ? options.isFirstPartyOrigin : options.isRegisteredOrigin)(origin)) return;
  reply.headers({ 'access-control-allow-origin': origin, 'access-control-expose-headers': 'WWW-Authenticate' });
  if (firstParty) reply.header('access-control-allow-credentials', 'true');
}

/** A request is logged by its path alone: a query may hold what should not have been in it. */
async function logAnswer(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const took = Math.round(reply.elapsedTime * 10) / 10;
  request.log.debug(
    {
      reqId: request.id,
      method: request.method,
      path: loggedPath(request.url),
      status: reply.statusCode,
      ms: took,
      ip: request.ip,
    },
    'answered',
  );
}

function methodsOf({ method, readableBy }: Endpoint): string {
  const methods = method === 'GET' ? 'GET, HEAD' : method;
  return readableBy === undefined ? methods : `${methods}, OPTIONS`;
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

/** A path without what is as long as a secret, as clients put those where they do not belong. */
function loggedPath(target: string): string {
  return pathOf(target).replace(/[^/]{40,}/g, '…');
}
