import { readFileSync } from 'node:fs';
import { test } from 'tap';
import { openDatabase } from '../src/store/database.ts';
import { createBrowser } from './support/browser.ts';
import { freshDatabase } from './support/database.ts';
import { registerResource, startIssuer } from './support/issuer.ts';
import { authorizePath, newVerifier, password, redeem, registerApp, registerUser } from './support/people.ts';
import { eventually, launchServer, type ServerProcess, spawnServer } from './support/process.ts';

/** The processes that a process has started (Linux). */
function childrenOf({ pid }: ServerProcess): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

const linux = process.platform === 'linux';

test('workers share the port, each an instance; one that dies is replaced, and all end together', {
  skip: !linux,
}, async (t) => {
  const { url } = await freshDatabase(t);
  const server = await spawnServer(t, { DATABASE_URL: url, WORKERS: '2' });
  t.equal(server.stdout().match(/issues tokens as/g)?.length, 1, 'one start message');
  const database = openDatabase(url, { maxConnections: 1 });
  t.teardown(() => database.close());
  const instances = async () => (await database.query('SELECT id FROM instance')).length;
  await eventually(async () => (await instances()) === 2);
  const keys = async () => {
    const headers = { connection: 'close' };
    const response = await fetch(`${server.issuer}/.well-known/jwks.json`, {
      headers,
      signal: AbortSignal.timeout(2_000),
    });
    return response.status;
  };
  for (let count = 0; count < 10; count += 1) t.equal(await keys(), 200);

  const [first = 0] = childrenOf(server);
  process.kill(first, 'SIGKILL');
  for (let count = 0; count < 5; count += 1) t.equal(await keys(), 200, 'the other goes on');
  await eventually(() => childrenOf(server).length === 2 && !childrenOf(server).includes(first));
  t.match(
    server.log().filter(({ msg }) => /takes its place/.test(String(msg))),
    [{ signal: 'SIGKILL' }],
  );
  await eventually(async () => (await instances()) === 3);

  const workers = childrenOf(server);
  server.kill('SIGTERM');
  t.equal((await server.ended).code, 0);
  for (const pid of workers) t.throws(() => process.kill(pid, 0), 'nothing is left');
});

test('what no worker can start with ends the whole, in one line', async (t) => {
  const { url } = await freshDatabase(t);
  const wrong = new URL(url);
  wrong.pathname = '/there_is_no_such_database';
  const server = await launchServer(t, { DATABASE_URL: wrong.href, WORKERS: '2' });
  const { code, stderr } = await server.ended;
  t.equal(code, 1);
  t.match(stderr, /has no database "there_is_no_such_database"/);
  t.notMatch(stderr, /\n {4}at /);
});

test('requests need not stick: sign in on one instance, consent on another, redeem on a third', async (t) => {
  const one = await startIssuer(t);
  const two = await startIssuer(t, { beside: one });
  const three = await startIssuer(t, { beside: one });
  await registerResource(one);
  const { email } = await registerUser(one);
  const app = await registerApp(one);
  await Promise.all([two.app.refresh(), three.app.refresh()]);
  const { verifier, challenge } = newVerifier();

  const first = createBrowser(one);
  await first.open(authorizePath(app.id, challenge));
  await first.submit({ email, password });
  const form = first.hidden();
  const second = createBrowser(two);
  for (const [name, value] of first.cookies) second.cookies.set(name, value);
  const { left } = await second.post('/consent', { ...form, decision: 'allow' });
  const code = left?.searchParams.get('code') ?? '';
  t.equal((await redeem(three, app, code, verifier)).status, 200);
  t.equal((await redeem(one, app, code, verifier)).status, 400, 'and only once, wherever');
});
