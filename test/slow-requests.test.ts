import tap, { test } from 'tap';
import { openEvents } from './support/event-stream.ts';
import { startIssuer } from './support/issuer.ts';
import { revocationOf, revoke } from './support/revocations.ts';
import { exchange } from './support/wire.ts';

const issuer = await startIssuer(tap);
const server = issuer.app.server.server as typeof issuer.app.server.server & { connectionsCheckingInterval: number };

test('a request has 15 seconds, its headers 10, and Node looks every 5', async (t) => {
  // Were headersTimeout the longer one, Node would take it for the time of the whole request.
  const { requestTimeout, headersTimeout, connectionsCheckingInterval } = server;
  t.same([requestTimeout, headersTimeout, connectionsCheckingInterval], [15_000, 10_000, 5_000]);
});

test('who is slow with headers or body gets 408, and a stream goes on', async (t) => {
  server.requestTimeout /= 100;
  server.headersTimeout /= 100;
  server.connectionsCheckingInterval /= 100;
  await issuer.app.server.listen({ host: '127.0.0.1', port: 0 });
  const stream = await openEvents(t, (server.address() as { port: number }).port);
  await stream.next();
  const head = 'POST /token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n';
  for (const bytes of ['GET /health', head, `${head}Content-Length: 100\r\n\r\ngrant_type=`]) {
    const began = performance.now();
    const [answer] = await exchange(issuer, bytes);
    t.equal(answer?.status, 408);
    t.equal(JSON.parse(answer?.body ?? '').error, 'invalid_request');
    t.ok(performance.now() - began >= server.headersTimeout - 1);
  }
  await revoke(issuer.database, revocationOf('jti', 'one'));
  t.equal((await stream.next()).data.entries.length, 1);
});
