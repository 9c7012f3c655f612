/** The demo's resource service: verifies access tokens by itself, and refuses revoked ones. */
import { createVerifier } from '@keyturn/verifier';
import { accessTokens } from '@keyturn/verifier/fastify';
import Fastify, { type FastifyInstance } from 'fastify';

export async function createOrdersApi(issuer: string, audience: string): Promise<FastifyInstance> {
  const verifier = createVerifier({ issuer, audience });
  const server = Fastify();
  await server.register(accessTokens, { verifier });
  server.addHook('onClose', () => verifier.close());
  server.get('/orders', { onRequest: server.requireToken({ scope: 'orders:read' }) }, async (request) => {
    return { for: request.claims.sub, orders: ['3 apples', '1 umbrella', '12 screws, M4'] };
  });
  return server;
}
