import { once } from 'node:events';
import net from 'node:net';
import tap, { test } from 'tap';
import { networkOf } from '../src/http/address.ts';
import { openEvents } from './support/event-stream.ts';
import { background, basic, get, registerClient, startIssuer } from './support/issuer.ts';
import { eventually } from './support/process.ts';
import { revocationOf, revoke } from './support/revocations.ts';
import { exchangeOne, request } from './support/wire.ts';

const issuer = await startIssuer(tap, { listen: true, settings: { TRUST_PROXY: 'loopback' } });
/** Where a reader is, as a proxy in front says it. */
const from = { 'x-forwarded-for': '192.0.2.20' };
const { port } = issuer.app.server.server.address() as { port: number };
const path = '/revocations/stream';

async function revokeHere(...names: string[]): Promise<void> {
  await revoke(issuer.database, ...names.map((name) => revocationOf('jti', name)));
  await issuer.app.refresh();
}

const entryOf = (name: string) => [revocationOf('jti', name).digest, 4_000_000_000];

test('events are those of the page', async (t) => {
  await revokeHere('one');
  const reader = await openEvents(t, port);
  t.equal(reader.status, 200);
  t.match(reader.headers, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store, no-transform',
    'x-accel-buffering': 'no',
    'access-control-allow-origin': '*',
  });
  t.notOk('content-encoding' in reader.headers);
  const first = await reader.next();
  t.match(first, { event: 'revocations', id: /^[0-9a-f]{16}-\d+$/ });
  t.same(Object.keys(first.data), ['asOf', 'sentAt', 'entries']);
  t.same(first.data.entries, [entryOf('one')]);
  t.ok(first.data.asOf <= first.data.sentAt && first.data.sentAt - first.data.asOf < 5);
  await revokeHere('two', 'three');
  const second = await reader.next();
  t.same(second.data.entries, [entryOf('two'), entryOf('three')]);
  t.equal(second.id, (await get(issuer, '/revocations')).json.id);
  t.ok(second.data.asOf > first.data.asOf);
});

test('a reader goes on where it was, and gets everything where that says nothing here', async (t) => {
  const { id, entries } = (await get(issuer, '/revocations')).json;
  await revokeHere('four');
  const [feed] = id.split('-');
  const from = async (lastEventId?: string, query = '') => {
    const headers: Record<string, string> = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
    const reader = await openEvents(t, port, `${path}${query}`, headers);
    const { data, id } = await reader.next();
    reader.close();
    return { id, count: data.entries.length };
  };
  const now = (await get(issuer, '/revocations')).json.id;
  t.same(await from(id), { id: now, count: 1 });
  t.same(await from(undefined, `?since=${id}`), { id: now, count: 1 });
  t.same(await from(now, `?since=${id}`), { id: now, count: 0 }, 'the header is the later one');
  const all = entries.length + 1;
  for (const other of [`${feed}-999999`, `${'0'.repeat(16)}-1`, `${feed}-0`, 'x', `${now}, ${now}`, `${now}x`]) {
    t.same(await from(other), { id: now, count: all }, other);
    t.same(await from(undefined, `?since=${encodeURIComponent(other)}`), { id: now, count: all }, other);
  }
  t.equal((await openEvents(t, port, `${path}?since=${id}&since=${id}`)).status, 400);
});

test('a stream asks the database nothing, and an event is made once for all readers', async (t) => {
  const readers = await Promise.all(Array.from({ length: 10 }, () => openEvents(t, port)));
  for (const reader of readers) await reader.next();
  const before = issuer.statements.length;
  await openEvents(t, port).then((reader) => reader.next());
  t.same(
    issuer.statements.slice(before).filter((statement) => !background.test(statement)),
    [],
  );
  await revokeHere('five');
  const events = await Promise.all(readers.map((reader) => reader.next()));
  for (const event of events) t.same(event, events[0], 'to the time at which it was sent');
  for (const reader of readers) reader.close();
});

test('HEAD answers the headers of a stream, and takes no place', async (t) => {
  for (let times = 0; times < 25; times += 1) {
    const { status, headers } = await exchangeOne(issuer, request(`HEAD ${path}`));
    t.match({ status, type: headers['content-type'] }, { status: 200, type: 'text/event-stream' });
  }
  const headers = { authorization: basic('nobody', 'x') };
  const wrong = await fetch(`${issuer.issuer}${path}`, { method: 'HEAD', headers });
  t.equal(wrong.status, 401);
});

test('one address has twenty streams, and a client that says who it is has more', async (t) => {
  const readers = await Promise.all(Array.from({ length: 20 }, () => openEvents(t, port, path, from)));
  t.same([...new Set(readers.map(({ status }) => status))], [200]);
  const refused = await openEvents(t, port, path, from);
  t.equal(refused.status, 429);
  t.match(refused.headers, { 'retry-after': /^\d+$/, 'cache-control': 'no-store' });
  t.equal(JSON.parse(refused.text).error, 'temporarily_unavailable');
  const client = await registerClient(issuer);
  const authorized = (authorization: string) => openEvents(t, port, path, { ...from, authorization });
  t.equal((await authorized(client.basic)).status, 200);
  for (const wrong of [basic(client.id, 'wrong'), basic('nobody', client.secret), 'Bearer x', 'Basic !', '']) {
    const { status, headers, text } = await authorized(wrong);
    t.equal(status, wrong === '' ? 429 : 401, wrong);
    if (wrong !== '') t.match(headers['www-authenticate'], /^Basic realm="/);
    t.notMatch(text, client.secret);
  }
  readers[0]?.close();
  await eventually(async () => (await openEvents(t, port)).status === 200);
});

test('a stream that waits for another on its connection takes no place', async (t) => {
  const here = { 'x-forwarded-for': '192.0.2.21' };
  const twice = request(`GET ${path}`, ['X-Forwarded-For: 192.0.2.21']).repeat(2);
  const sockets = await Promise.all(
    Array.from({ length: 12 }, async () => {
      const socket = net.connect(port, '127.0.0.1').setEncoding('utf8');
      t.teardown(() => socket.destroy());
      socket.write(twice);
      const [answer] = await once(socket, 'data');
      t.match(answer, /^HTTP\/1\.1 200 /);
      return socket;
    }),
  );
  t.equal((await openEvents(t, port, path, here)).status, 200);
  for (const socket of sockets) socket.destroy();
});

test('what counts as one address', async (t) => {
  const same = [
    ['192.0.2.1', '::ffff:192.0.2.1', '::FFFF:192.0.2.1'],
    ['2001:db8:1:2::1', '2001:DB8:1:2:ffff::', '2001:0db8:0001:0002:0:0:0:9', '2001:db8:1:2:3:4:192.0.2.1'],
    ['2001:db8::1', '2001:db8:0:0:1::', '2001:db8::'],
    ['fe80::1%eth0', 'fe80::2'],
    ['::1', '::'],
    ['64:ff9b::192.0.2.1', '64:ff9b::'],
    ['', 'unknown', 'x, y'],
  ];
  for (const ips of same) t.equal(new Set(ips.map(networkOf)).size, 1, ips.join(' '));
  t.equal(new Set(same.map(([ip = '']) => networkOf(ip))).size, same.length);
});
