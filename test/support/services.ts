/** The same small resource service, behind each adapter of the verifier, on sockets of their own. */
import { createServer, type IncomingMessage, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { AccessTokenClaims } from '@keyturn/verifier';
import { createTokenMiddleware } from '@keyturn/verifier/express';
import { accessTokens, type GuardOptions, type Requirement } from '@keyturn/verifier/fastify';
import { createTokenChecks } from '@keyturn/verifier/request';
import Fastify from 'fastify';

/** What each path of the service requires. */
const routes: Record<string, Requirement | undefined> = {
  '/me': undefined,
  '/orders': { scope: 'orders:read' },
  '/both': { scope: 'orders:read orders:write' },
  '/staff': { role: 'clerk' },
  '/refunds': { permission: ['orders:read', 'orders:refund'] },
};

interface Owner {
  teardown(undo: () => unknown): void;
}

type Start = (t: Owner, options: GuardOptions) => Promise<number>;

/** Starts the service behind an adapter; resolves to its port. It answers with the token's `sub`. */
export const adapters: Record<'fastify' | 'express' | 'request', Start> = {
  async fastify(t, options) {
    const server = Fastify();
    await server.register(accessTokens, options);
    for (const [url, requirement] of Object.entries(routes)) {
      const onRequest = server.requireToken(requirement);
      server.route({
        method: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
        url,
        onRequest,
        handler: ({ claims }) => ({ sub: claims.sub }),
      });
    }
    t.teardown(() => server.close());
    await server.listen({ host: '127.0.0.1', port: 0 });
    return (server.server.address() as AddressInfo).port;
  },

  express(t, options) {
    const { metadata, requireToken } = createTokenMiddleware(options);
    const guards = Object.fromEntries(Object.entries(routes).map(([path, rule]) => [path, requireToken(rule)]));
    return listen(t, (request, response) => {
      const failed = () => response.writeHead(500).end();
      metadata(request, response, (error) => {
        const guard = guards[new URL(request.url ?? '', 'http://localhost').pathname];
        if (error !== undefined || guard === undefined) response.writeHead(error === undefined ? 404 : 500).end();
        else
          guard(request, response, (refused) => {
            if (refused !== undefined) return failed();
            const { claims } = request as IncomingMessage & { claims?: AccessTokenClaims };
            response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ sub: claims?.sub }));
          });
      });
    });
  },

  request(t, options) {
    const { metadata, requireToken } = createTokenChecks(options);
    const checks = Object.fromEntries(Object.entries(routes).map(([path, rule]) => [path, requireToken(rule)]));

    async function handle(request: Request): Promise<Response> {
      const check = checks[new URL(request.url).pathname];
      const described = metadata(request);
      if (described !== undefined || check === undefined) return described ?? new Response(null, { status: 404 });
      const claims = await check(request);
      return claims instanceof Response ? claims : Response.json({ sub: claims.sub });
    }

    return listen(t, async ({ url, method = '', rawHeaders }, response) => {
      const headers = new Headers();
      rawHeaders.forEach((value, at) => {
        if (at % 2 === 1) headers.append(rawHeaders[at - 1] ?? '', value);
      });
      const answer = await handle(new Request(`http://localhost${url}`, { method, headers }));
      response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
    });
  },
};

async function listen(t: Owner, handle: Parameters<typeof createServer>[1] & {}): Promise<number> {
  const server = createServer(handle).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  return (server.address() as AddressInfo).port;
}

export interface ServiceAnswer {
  readonly status: number | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** One request on a connection of its own. A header with a list of values is sent once for each. */
export function ask(
  port: number,
  path: string,
  { method = 'GET', ...headers }: Record<string, string | string[]> = {},
): Promise<ServiceAnswer> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path, method: String(method), headers, agent: false };
    const sent = sendRequest(options, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => {
        body += text;
      });
      response.once('end', () => resolve({ status: response.statusCode, headers: response.headers, body }));
    });
    sent.once('error', reject).end();
  });
}
