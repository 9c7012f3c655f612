/**
 * An API: it takes access tokens, verifies them by itself and refuses revoked ones. It knows the issuer's URL and its own
 * name (the audience), and has no secret.
 */
import cors from '@fastify/cors';
import { createVerifier } from '@keyturn/verifier';
import { accessTokens } from '@keyturn/verifier/fastify';
import Fastify from 'fastify';

const issuer = process.env.ISSUER ?? 'http://localhost:3000';
const port = Number(process.env.PORT ?? 4000);
/** The origins whose pages may call: that of the single-page app. */
const origins = [process.env.SPA_ORIGIN ?? 'http://localhost:3002'];

// #region api
const verifier = createVerifier({ issuer, audience: 'https://orders.example' });
const server = Fastify();
await server.register(cors, { origin: origins, methods: ['GET', 'POST'], exposedHeaders: ['WWW-Authenticate'] });
await server.register(accessTokens, { verifier });
server.addHook('onClose', () => verifier.close());

server.get('/orders', { onRequest: server.requireToken({ scope: 'orders:read' }) }, async ({ claims }) => {
  return { for: claims.sub, orders: ordersOf(claims.sub) };
});

const schema = {
  body: { type: 'object', required: ['order'], properties: { order: { type: 'string', maxLength: 80 } } },
};
server.post(
  '/orders',
  { schema, onRequest: server.requireToken({ scope: 'orders:write' }) },
  async (request, reply) => {
    ordersOf(request.claims.sub).push(request.body.order);
    return reply.code(201).send();
  },
);
// #endregion

/** By subject: a person's `sub`, or a machine's client id. */
const orders = new Map();

function ordersOf(subject) {
  if (!orders.has(subject)) orders.set(subject, ['3 apples', '1 umbrella', '12 screws, M4']);
  return orders.get(subject);
}

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.close());
await server.listen({ host: 'localhost', port });
console.log(`the API listens on http://localhost:${port}`);
