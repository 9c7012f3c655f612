import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'tap';
import { emptyDatabase } from './support/database.ts';
import { startProxy } from './support/database-proxy.ts';
import { eventually, launchServer, openTemporaryFolder, spawnServer } from './support/process.ts';
import { execute } from './support/run.ts';

const waiting = ({ msg }: Record<string, unknown>) => String(msg).startsWith('waiting: ');

test('without its database the server lives, refuses for now, says why once, and is ready as soon as it can be', async (t) => {
  const proxy = await startProxy(t, (await emptyDatabase(t)).url);
  proxy.cut();
  const { port, host } = new URL(proxy.url);
  const server = await launchServer(t, { DATABASE_URL: proxy.url });
  await eventually(() => server.log().some(waiting));

  const live = await fetch(`${server.issuer}/health/live`);
  t.equal(live.status, 200);
  const ready = await fetch(`${server.issuer}/health/ready`);
  t.equal(ready.status, 503);
  t.same(await ready.json(), { status: 'starting', reason: 'waiting for the database' });
  for (const [method, path] of [
    ['POST', '/token'],
    ['GET', '/.well-known/jwks.json'],
  ] as const) {
    const body = method === 'POST' ? new URLSearchParams({ grant_type: 'client_credentials' }) : null;
    const response = await fetch(`${server.issuer}${path}`, { method, body });
    t.equal(response.status, 503, path);
    t.match(response.headers.get('retry-after'), /^[1-9]\d*$/, path);
    t.equal(response.headers.get('cache-control'), 'no-store', path);
    t.match(await response.json(), { error: 'temporarily_unavailable' }, path);
  }

  let attempts = 0;
  const sullen = net.createServer((socket) => socket.once('data', () => socket.end(() => attempts++)));
  sullen.listen(Number(port), '127.0.0.1');
  await eventually(() => attempts >= 3);
  await once(sullen.close(), 'close');
  t.equal(server.stdout(), '', 'no start message yet');

  await proxy.mend();
  await server.started;
  t.match(server.stdout(), 'Next, ');
  t.equal((await fetch(`${server.issuer}/health/ready`)).status, 200);
  t.equal((await fetch(`${server.issuer}/.well-known/jwks.json`)).status, 200);
  const said = server
    .log()
    .filter(waiting)
    .map(({ msg }) => msg);
  t.same(said, [
    `waiting: Postgres at ${host} cannot be reached (ECONNREFUSED)`,
    `waiting: what listens at ${host} hangs up without an answer`,
  ]);
});

test('two servers that start at one moment on an empty database make one set of keys between them', async (t) => {
  const { url } = await emptyDatabase(t);
  const keysDir = join(await openTemporaryFolder(t), 'keys');
  const start = () => spawnServer(t, { DATABASE_URL: url, KEYS_DIR: keysDir });
  const servers = await Promise.all([start(), start()]);

  for (const server of servers) t.match(server.stdout(), 'ES256 (2 published), RS256 (2 published)', server.stderr());
  t.same((await readdir(keysDir)).length, 1, 'one key-encryption key');
  const keys = await execute(url, 'SELECT alg, count(*)::int AS keys FROM signing_key GROUP BY alg ORDER BY alg');
  t.same(keys, [
    { alg: 'ES256', keys: 2 },
    { alg: 'RS256', keys: 2 },
  ]);
  const [one, other] = await Promise.all(servers.map(({ issuer }) => jwks(issuer)));
  t.same(one, other, 'both publish the same');
});

async function jwks(issuer: string): Promise<unknown> {
  return (await fetch(`${issuer}/.well-known/jwks.json`)).json();
}
