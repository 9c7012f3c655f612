import { type Test, test } from 'tap';
import { startIssuer, type TestIssuer } from './support/issuer.ts';
import { exchange } from './support/wire.ts';

const head = 'POST /token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n';

/** An issuer with the time-outs of the real one, only a hundred times shorter. */
async function startHurried(t: Test): Promise<TestIssuer> {
  const issuer = await startIssuer(t);
  const server = issuer.app.server.server as typeof issuer.app.server.server & { connectionsCheckingInterval: number };
  server.requestTimeout /= 100;
  server.headersTimeout /= 100;
  server.connectionsCheckingInterval /= 100;
  await issuer.app.server.listen({ host: '127.0.0.1', port: 0 });
  return issuer;
}

test('a request has 15 seconds, its headers 10, and Node looks every 5', async (t) => {
  const { server } = (await startIssuer(t)).app.server;
  const { requestTimeout, headersTimeout } = server;
  t.same({ requestTimeout, headersTimeout }, { requestTimeout: 15_000, headersTimeout: 10_000 });
  t.equal((server as unknown as { connectionsCheckingInterval: number }).connectionsCheckingInterval, 5_000);
});

test('who is slow with headers or body gets 408 in that time', async (t) => {
  const issuer = await startHurried(t);
  for (const bytes of ['GET /health', head, `${head}Content-Length: 100\r\n\r\ngrant_type=`]) {
    const began = performance.now();
    const [answer] = await exchange(issuer, bytes);
    const took = performance.now() - began;
    t.equal(answer?.status, 408);
    t.equal(JSON.parse(answer?.body ?? '').error, 'invalid_request');
    t.ok(took < 2_000, `${took} ms, where 60 s / 100 is Node's own time-out and 200 ms ours`);
    t.ok(took > 80);
  }
});
