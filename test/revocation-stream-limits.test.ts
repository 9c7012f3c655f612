import { pino } from 'pino';
import { type Test, test } from 'tap';
import { digestSecret } from '../src/crypto/handle.ts';
import { createAddressOf } from '../src/http/address.ts';
import { createClientAuthenticator } from '../src/http/client-authentication.ts';
import { revocationStreamEndpoint, type StreamLimits, streamLimits } from '../src/http/endpoints/revocation-stream.ts';
import { createServer } from '../src/http/server.ts';
import { type Client, clientDefaults } from '../src/protocol/client.ts';
import type { Registry } from '../src/store/registry.ts';
import type { Revocation } from '../src/store/revocation.ts';
import { createFeed, type Feed } from '../src/tokens/feed.ts';
import { openEvents } from './support/event-stream.ts';
import { basic } from './support/issuer.ts';
import { eventually } from './support/process.ts';

const incarnation = 'f'.repeat(16);
const digest = 'A'.repeat(22);

interface Bare {
  readonly port: number;
  readonly feed: Feed;
  /** Lets the feed take in so many entries more. */
  append(count: number): void;
  close(): Promise<void>;
  /** Bytes that wait for readers in this process. */
  waiting(): number;
}

/** The endpoint alone, in the issuer's server, with limits that a test can reach. */
async function start(t: Test, limits: Partial<StreamLimits> = {}, clients: readonly Client[] = []): Promise<Bare> {
  const feed = createFeed();
  const registry = { client: (id: string) => clients.find((client) => client.id === id) } as Registry;
  const authenticator = createClientAuthenticator(registry, 'https://id.example');
  const addressOf = createAddressOf(pino({ level: 'silent' }));
  const endpoint = revocationStreamEndpoint({
    feed,
    authenticator,
    addressOf,
    exactNow: () => 1_800_000_000.5,
    limits: { ...streamLimits, ...limits },
  });
  const server = await createServer({
    addressOf,
    issuer: 'https://id.example',
    endpoints: [endpoint],
    log: pino({ level: 'silent' }),
    trustProxy: ['127.0.0.1'],
    instance: 'test',
    readiness: () => ({ status: 'ok' }),
    caughtUp: () => undefined,
    isRegisteredOrigin: () => false,
    isFirstPartyOrigin: () => false,
  });
  t.teardown(() => server.close());
  await server.listen({ host: '127.0.0.1', port: 0 });
  const accepted = new Set<import('node:net').Socket>();
  server.server.on('connection', (socket) => {
    accepted.add(socket);
    socket.once('close', () => accepted.delete(socket));
  });
  let last = 0;
  const append = (count: number) => {
    const revocations = Array.from({ length: count }, (): Revocation => {
      last += 1;
      return { id: last, digest, epochBelow: null, expiresAt: 4_000_000_000 };
    });
    feed.take({ incarnation, everything: false, revocations, asOf: 1_800_000_000 }, 0);
  };
  feed.take({ incarnation, everything: true, revocations: [], asOf: 1_800_000_000 }, 0);
  return {
    port: (server.server.address() as { port: number }).port,
    feed,
    append,
    close: () => server.close(),
    waiting: () => [...accepted].reduce((sum, socket) => sum + socket.writableLength, 0),
  };
}

const path = '/revocations/stream';

test('heartbeats come in time, say how old the feed is, and keep the stream open', async (t) => {
  const { port, feed } = await start(t, { heartbeat: 20 });
  const reader = await openEvents(t, port);
  t.match(await reader.next(), { event: 'revocations', data: { entries: [] } });
  for (const asOf of [1_800_000_000.25, 1_800_000_001]) {
    feed.take({ incarnation, everything: false, revocations: [], asOf }, 0);
    const first = await reader.next();
    const beat = first.data.asOf === asOf ? first : await reader.next();
    t.same(beat, { id: undefined, event: 'heartbeat', data: { asOf, sentAt: 1_800_000_000.5 } });
  }
  t.equal(streamLimits.heartbeat, 10_000);
});

test('a reader that takes nothing is ended, and what waits for it does not grow', async (t) => {
  const behind = 100_000;
  const { port, append, waiting } = await start(t, { behind });
  const slow = await openEvents(t, port);
  await slow.next();
  slow.socket.pause();
  const quick = await openEvents(t, port);
  await quick.next();
  let most = 0;
  let sent = 0;
  let over = false;
  void slow.ended.then(() => {
    over = true;
  });
  // The kernel holds a few megabytes for it before anything waits here.
  while (waiting() < behind && sent < 2_000) {
    append(1_000);
    sent += 1;
    const { data } = await quick.next();
    if (data.entries.length !== 1_000) t.fail('the quick one gets all of it');
    most = Math.max(most, waiting());
  }
  t.ok(most > 0, 'it was behind');
  append(1);
  await quick.next();
  await eventually(() => waiting() === 0);
  t.ok(most < behind + 60_000, `${most} bytes at most`);
  slow.socket.resume();
  t.equal(await slow.ended, 'cut');
  t.ok(over);
  append(1);
  t.match(await quick.next(), { data: { entries: [[digest, 4_000_000_000]] } }, 'and goes on');
});

test('what is sent at once may be larger than what may wait', async (t) => {
  const { port, append, waiting } = await start(t, { behind: 1_000 });
  append(100_000);
  const reader = await openEvents(t, port);
  t.equal((await reader.next()).data.entries.length, 100_000, 'everything');
  await eventually(() => waiting() === 0);
  append(50_000);
  t.equal((await reader.next()).data.entries.length, 50_000, 'an event');
});

test('who does not take what it was sent first is ended after a few heartbeats', async (t) => {
  const { port, append, waiting } = await start(t, { heartbeat: 40, catchUp: 3 });
  append(250_000);
  const held: Promise<string>[] = [];
  for (let readers = 0; readers < 3; readers += 1) {
    const reader = await openEvents(t, port);
    reader.socket.pause();
    held.push(reader.ended);
  }
  t.ok(waiting() > 0, 'some of it waits');
  await eventually(() => waiting() === 0);
});

test('places: for each address, for all, and some that only clients get', async (t) => {
  const client: Client = {
    ...clientDefaults,
    id: 'client_orders',
    name: 'orders',
    secretDigests: [digestSecret('secret')],
    grantTypes: ['client_credentials'],
  };
  const limits = { perAddress: 2, anonymous: 3, open: 6, perClient: 2 };
  const other = { ...client, id: 'client_billing' };
  const { port } = await start(t, limits, [client, other]);
  const from = (ip: string, id?: string) => {
    const authorization = id === undefined ? {} : { authorization: basic(id, 'secret') };
    return openEvents(t, port, path, { 'x-forwarded-for': ip, ...authorization });
  };
  const statuses = [];
  const first = await from('2001:db8::1');
  statuses.push(first.status);
  for (const ip of ['2001:db8::2', '2001:db8::3', '192.0.2.1', '192.0.2.2']) statuses.push((await from(ip)).status);
  t.same(statuses, [200, 200, 429, 200, 503]);
  const clients = [];
  for (const id of ['client_orders', 'client_orders', 'client_orders', 'client_billing', 'client_billing']) {
    clients.push((await from('192.0.2.3', id)).status);
  }
  t.same(clients, [200, 200, 429, 200, 503]);
  first.close();
  await eventually(async () => (await from('192.0.2.4')).status === 200);
  t.equal((await from('192.0.2.5')).status, 503, 'one place was free and is taken');
});

test('a server that stops ends its streams at once, and whoever reads slowly', async (t) => {
  const { port, append, close, waiting } = await start(t);
  const readers = await Promise.all([1, 2, 3].map(() => openEvents(t, port)));
  for (const reader of readers) await reader.next();
  append(250_000);
  for (const reader of readers) await reader.next();
  // One that has it all before it pauses is not slow.
  const slow: Awaited<ReturnType<typeof openEvents>>[] = [];
  await eventually(async () => {
    const reader = await openEvents(t, port);
    reader.socket.pause();
    slow.push(reader);
    return waiting() > 0;
  });
  const since = performance.now();
  await close();
  t.ok(performance.now() - since < 1_000, 'nothing is waited for');
  t.same(await Promise.all(readers.map(({ ended }) => ended)), ['complete', 'complete', 'complete']);
  for (const { socket } of slow) socket.resume();
  t.ok((await Promise.all(slow.map(({ ended }) => ended))).includes('cut'));
});
