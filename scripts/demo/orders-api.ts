/** The demo's resource service: verifies access tokens by itself, with plain jose and the issuer's URL. */
import Fastify, { type FastifyInstance } from 'fastify';
import { createRemoteJWKSet, jwtVerify } from 'jose';

export function createOrdersApi(issuer: string, audience: string): FastifyInstance {
  const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`));
  const server = Fastify();

  server.get('/orders', async (request, reply) => {
    const token = /^bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
    try {
      const { payload } = await jwtVerify(token ?? '', keys, {
        issuer,
        audience,
        typ: 'at+jwt',
        algorithms: ['ES256'],
      });
      const scope = String(payload.scope ?? '').split(' ');
      if (!scope.includes('orders:read')) return reply.code(403).send({ error: 'insufficient_scope' });
      return { for: payload.sub, orders: ['3 apples', '1 umbrella', '12 screws, M4'] };
    } catch {
      return reply
        .code(401)
        .header('www-authenticate', 'Bearer error="invalid_token"')
        .send({ error: 'invalid_token' });
    }
  });
  return server;
}
