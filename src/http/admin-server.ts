/** What only those who run the issuer may ask: a server of its own, on a port that the world does not reach. */
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { Logger } from 'pino';
import { type AdminApiOptions, adminApi } from './admin/api.ts';
import { formats } from './admin/schema.ts';
import type { Certificate } from './tls.ts';

/** What `/metrics` answers with. */
export interface Rendered {
  readonly contentType: string;
  render(): Promise<string>;
}

export interface AdminServerOptions {
  readonly metrics: Rendered;
  readonly api: AdminApiOptions;
  readonly log: Logger;
  /** Speaks TLS by it; plain HTTP where there is none. */
  readonly certificate?: Certificate | undefined;
}

/** Characters of a part of a path: an audience URI may be long, and each of its signs be three. */
const longestName = 1_600;

export async function createAdminServer(options: AdminServerOptions): Promise<FastifyInstance> {
  const { metrics, api, log, certificate } = options;
  const server = Fastify({
    logger: false,
    childLoggerFactory: () => log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: true,
    requestTimeout: 10_000,
    bodyLimit: 64 * 1024,
    serializerOpts: { ajv: { formats } },
    routerOptions: { maxParamLength: longestName },
    ...({ https: certificate ?? null } as object),
  });
  server.get('/metrics', { schema: { hide: true } as object }, async (_request, reply) => {
    reply.headers({ 'content-type': metrics.contentType, 'cache-control': 'no-store' });
    return metrics.render();
  });
  server.setNotFoundHandler((_request, reply) =>
    reply
      .code(404)
      .send({ error: 'not_found', error_description: 'there is nothing here: see /openapi.json, and /metrics' }),
  );
  await server.register(adminApi, api);
  return server;
}
