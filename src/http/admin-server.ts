/** What only those who run the issuer may ask: a server of its own, on a port that the world does not reach. */
import Fastify, { type FastifyInstance } from 'fastify';

/** What `/metrics` answers with. */
export interface Rendered {
  readonly contentType: string;
  render(): Promise<string>;
}

export function createAdminServer(metrics: Rendered): FastifyInstance {
  const server = Fastify({ logger: false, forceCloseConnections: true, requestTimeout: 10_000 });
  server.get('/metrics', async (_request, reply) => {
    reply.headers({ 'content-type': metrics.contentType, 'cache-control': 'no-store' });
    return metrics.render();
  });
  server.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: 'there is nothing here but /metrics' }));
  return server;
}
