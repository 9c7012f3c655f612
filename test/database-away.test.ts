import { test } from 'tap';
import { freshDatabase } from './support/database.ts';
import { startProxy } from './support/database-proxy.ts';
import { eventually, keyturn, type ServerProcess, spawnServer } from './support/process.ts';

async function readiness({ issuer }: ServerProcess): Promise<{ code: number; status: string; reason?: string }> {
  const response = await fetch(`${issuer}/health/ready`);
  return { code: response.status, ...((await response.json()) as { status: string }) };
}

test('while the database is away all goes on from memory, and once it is back so do changes', async (t) => {
  const { url } = await freshDatabase(t);
  const proxy = await startProxy(t, url);
  const server = await spawnServer(t, { DATABASE_URL: proxy.url });
  const direct = { DATABASE_URL: url };
  await keyturn(direct, 'resource', 'add', 'https://orders.example', '--scope', 'orders:read');
  const machine = ['--grant', 'client_credentials', '--audience', 'https://orders.example'];
  const added = await keyturn(direct, 'client', 'add', 'billing', ...machine, '--json');
  const { client_id, client_secret } = JSON.parse(added.stdout);
  const token = () =>
    fetch(`${server.issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`${client_id}:${client_secret}`)}` },
      body: new URLSearchParams({ grant_type: 'client_credentials' }),
    });
  /** All that is answered from memory. */
  const works = async (when: string) => {
    const paths = ['/.well-known/jwks.json', '/.well-known/openid-configuration', '/health/live'];
    const answers = await Promise.all([token(), ...paths.map((path) => fetch(`${server.issuer}${path}`))]);
    t.same(
      answers.map(({ status }) => status),
      [200, 200, 200, 200],
      when,
    );
  };
  await eventually(async () => (await token()).status === 200);
  t.same(await readiness(server), { code: 200, status: 'ok' });

  proxy.cut();
  await works('at once');
  await eventually(async () => (await readiness(server)).status !== 'ok');
  t.same(await readiness(server), { code: 200, status: 'degraded', reason: 'the database is away' });
  await works('and later');
  const errors = () => server.log().filter(({ level }) => Number(level) >= 50);
  t.match(errors(), [{ msg: /^Postgres at 127\.0\.0\.1:\d+ (cannot be reached|does not answer)/ }]);
  const said = new Set(errors().map(({ msg }) => msg));
  t.equal(said.size, errors().length, 'each reason is said once');

  t.equal((await keyturn(direct, 'client', 'disable', client_id)).code, 0, 'meanwhile, somewhere else');
  await works('of which it cannot know');
  await proxy.mend();
  const took = await eventually(async () => (await readiness(server)).status === 'ok');
  t.ok(took < 5_000, `ready after ${took} ms`);
  t.equal((await token()).status, 401, 'what it missed is in force');
  await eventually(() => server.log().some(({ msg }) => msg === 'the database is back'));

  proxy.cut();
  const since = performance.now();
  server.kill('SIGTERM');
  t.equal((await server.ended).code, 0, 'it ends well without its database');
  t.ok(performance.now() - since < 9_000);
});
