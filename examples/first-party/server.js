/** The server of the first-party app: its page, and an API that takes the access token from the cookie. */
import { readFileSync } from 'node:fs';
import { createVerifier } from '@keyturn/verifier';
import { accessTokens } from '@keyturn/verifier/fastify';
import Fastify from 'fastify';

const issuer = process.env.ISSUER ?? 'http://localhost:3000';
const clientId = process.env.CLIENT_ID;
const port = Number(process.env.PORT ?? 3003);
if (!clientId) {
  console.error('CLIENT_ID is not set: keyturn client add prints it');
  process.exit(2);
}

const server = Fastify();

// #region api
const verifier = createVerifier({ issuer, audience: 'https://orders.example' });
// Takes the token from the client's cookie, and wants X-CSRF-Token with whatever changes something.
await server.register(accessTokens, { verifier, cookie: clientId });
server.addHook('onClose', () => verifier.close());

server.get('/orders', { onRequest: server.requireToken({ scope: 'orders:read' }) }, async ({ claims }) => {
  return { orders: ordersOf(claims.sub) };
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

/** By the person's `sub`. */
const orders = new Map();

function ordersOf(subject) {
  if (!orders.has(subject)) orders.set(subject, ['3 apples', '1 umbrella', '12 screws, M4']);
  return orders.get(subject);
}

const policy = `default-src 'self'; connect-src 'self' ${issuer}; img-src data:; frame-ancestors 'none'; base-uri 'none'`;
const read = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');
const [page, script] = [read('index.html'), read('app.js')];
server.get('/', (_request, reply) =>
  reply.header('content-security-policy', policy).type('text/html; charset=utf-8').send(page),
);
server.get('/app.js', (_request, reply) => reply.type('text/javascript; charset=utf-8').send(script));
server.get('/settings.json', () => ({ issuer }));

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.close());
await server.listen({ host: 'localhost', port });
console.log(`the first-party app is at http://localhost:${port}`);
