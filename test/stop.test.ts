import { once } from 'node:events';
import { access } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { findEmbeddedPostgres } from '../src/store/embedded/index.ts';
import { freshDatabase } from './support/database.ts';
import { startProxy } from './support/database-proxy.ts';
import { openFolder, readPid } from './support/embedded.ts';
import { openEvents } from './support/event-stream.ts';
import { eventually, launchServer, type ServerProcess, spawnServer } from './support/process.ts';
import { execute } from './support/run.ts';

/** A connection to the server that has sent this much. */
async function send(
  t: Test,
  { env }: ServerProcess,
  text: string,
): Promise<{ socket: net.Socket; answer: Promise<string> }> {
  const socket = net.connect(Number(env.PORT), '127.0.0.1');
  t.teardown(() => socket.destroy());
  let received = '';
  const answer = new Promise<string>((resolve) => {
    socket
      .on('data', (data) => (received += data))
      .on('error', () => undefined)
      .on('close', () => resolve(received));
  });
  await once(socket, 'connect');
  socket.write(text);
  return { socket, answer };
}

const stopping = (server: ServerProcess) => eventually(() => server.log().some(({ msg }) => msg === 'stopping'));

test('SIGTERM lets requests under way finish, then all is cleared away', async (t) => {
  const { url } = await freshDatabase(t);
  const server = await spawnServer(t, { DATABASE_URL: url });
  await server.keyturn('resource', 'add', 'https://orders.example', '--scope', 'orders:read');
  const client = ['client', 'add', 'billing', '--grant', 'client_credentials', '--audience', 'https://orders.example'];
  const { client_id, client_secret } = JSON.parse((await server.keyturn(...client, '--json')).stdout);
  await eventually(async () => (await execute(url, 'SELECT id FROM instance')).length === 1);

  const form = 'grant_type=client_credentials';
  const head = [
    'POST /token HTTP/1.1',
    'Host: localhost',
    `Authorization: Basic ${btoa(`${client_id}:${client_secret}`)}`,
    'Content-Type: application/x-www-form-urlencoded',
    `Content-Length: ${form.length}`,
    '\r\n',
  ].join('\r\n');
  const request = await send(t, server, head + form.slice(0, 10));
  const reached = await send(t, server, 'GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  t.match(await reached.answer, /^HTTP\/1\.1 200 /, 'the first half of the request has been read by now');
  const stream = await openEvents(t, Number(server.env.PORT));
  await stream.next();
  server.kill('SIGTERM');
  await stopping(server);
  await eventually(() => isRefused(server));
  t.equal(await stream.ended, 'complete', 'what would never end is ended first');

  const since = performance.now();
  request.socket.write(form.slice(10));
  const answer = await request.answer;
  t.match(answer, /^HTTP\/1\.1 200 /);
  t.match(JSON.parse(answer.split('\r\n\r\n')[1] ?? ''), { token_type: 'Bearer' });
  const { code, stderr } = await server.ended;
  t.equal(code, 0);
  t.ok(performance.now() - since < 4_000, 'a connection that could be used again is not waited for');
  t.notMatch(stderr, /"level":[456]0/, 'nothing to warn of');
  t.same(await execute(url, 'SELECT id FROM instance'), []);
});

async function isRefused({ env }: ServerProcess): Promise<boolean> {
  const socket = net.connect(Number(env.PORT), '127.0.0.1');
  try {
    await once(socket, 'connect');
    return false;
  } catch {
    return true;
  } finally {
    socket.destroy();
  }
}

test('a database that no longer says a word does not hold up the end', async (t) => {
  const proxy = await startProxy(t, (await freshDatabase(t)).url);
  const server = await spawnServer(t, { DATABASE_URL: proxy.url });
  proxy.freeze();
  await eventually(async () => /degraded/.test(await (await fetch(`${server.issuer}/health/ready`)).text()));
  const since = performance.now();
  server.kill('SIGTERM');
  t.equal((await server.ended).code, 0);
  t.ok(performance.now() - since < 9_500);
});

test('accidents and the embedded Postgres: kill -9, a crash of the database, Ctrl-C twice with a request that never ends', async (t) => {
  const folder = await openFolder(t);
  const cluster = join(folder, 'data/postgres');
  const killed = await spawnServer(t, {}, { folder });
  const kids = await publishedKids(killed);
  const feed = await feedName(killed);
  killed.kill('SIGKILL');
  await killed.ended;
  const orphan = await readPid(cluster);

  const second = await spawnServer(t, {}, { folder });
  t.same(await publishedKids(second), kids, 'the next start goes on where the killed one was');
  t.equal((await readPid(cluster)).pid, orphan.pid, 'with the Postgres that was left running');
  t.equal(await feedName(second), feed, 'and its feed');
  process.kill(orphan.pid, 'SIGKILL');
  const crashed = await second.ended;
  t.equal(crashed.code, 1);
  t.match(
    second.log().filter(({ level }) => Number(level) === 60),
    [{ msg: /^the embedded Postgres has stopped by itself; see .*\/data\/postgres\.log$/ }],
  );

  const third = await spawnServer(t, {}, { folder });
  t.same(await publishedKids(third), kids);
  t.not(await feedName(third), feed, 'a Postgres that was started anew may have been put back before');
  await send(t, third, '');
  await send(t, third, 'POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\ngrant_type=');
  const reached = await send(t, third, 'GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  await reached.answer;
  const since = performance.now();
  third.kill('SIGINT');
  third.kill('SIGINT');
  t.equal((await third.ended).code, 0);
  t.ok(performance.now() - since < 7_900, 'who never begins or never ends a request is not waited for');
  await t.rejects(readPid(cluster), { code: 'ENOENT' }, 'the database has been shut down');
});

test('Ctrl-C during a first start leaves nothing running', async (t) => {
  const folder = await openFolder(t);
  const server = await launchServer(t, {}, { folder });
  const begun = () =>
    access(join(folder, 'data/postgres.json')).then(
      () => true,
      () => false,
    );
  await eventually(begun);
  server.kill('SIGINT');
  const { code, stdout, stderr } = await server.ended;
  t.same({ code, stdout }, { code: 0, stdout: '' });
  t.notMatch(stderr, /"level":[456]0|^keyturn/m);
  t.equal(await findEmbeddedPostgres(join(folder, 'data')), undefined);
});

test('SIGTERM while the server waits for its database ends it', async (t) => {
  const server = await launchServer(t, { DATABASE_URL: 'postgresql://keyturn@127.0.0.1:1/keyturn' });
  await eventually(() => server.log().some(({ msg }) => String(msg).startsWith('waiting: ')));
  server.kill('SIGTERM');
  const { code, stdout, stderr } = await server.ended;
  t.same({ code, stdout }, { code: 0, stdout: '' });
  t.notMatch(stderr, /"level":[56]0|^keyturn/m);
});

async function publishedKids({ issuer }: ServerProcess): Promise<string[]> {
  const response = await fetch(`${issuer}/.well-known/jwks.json`);
  return ((await response.json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
}

/** Positions of one feed say nothing in another (docs/revocation-feed.md). */
async function feedName({ issuer }: ServerProcess): Promise<string> {
  const response = await fetch(`${issuer}/revocations`);
  return ((await response.json()) as { id: string }).id.replace(/-\d+$/, '');
}
