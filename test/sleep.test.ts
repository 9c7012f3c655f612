import { test } from 'tap';
import { rotateByHand } from '../src/keys/administration.ts';
import { scheduleOf } from '../src/keys/lifecycle.ts';
import { createTestClock } from './support/clock.ts';
import { freshDatabase } from './support/database.ts';
import { startProxy } from './support/database-proxy.ts';
import { get, post, registerClient, registerResource, startIssuer } from './support/issuer.ts';
import { eventually, keyturn, spawnServer } from './support/process.ts';

const schedule = scheduleOf({ signFor: 86_400, jwksMaxAge: 600, longestTokenTtl: 600, longestGrant: 86_400 });
const form = { grant_type: 'client_credentials' };

function kidOf(token: string): string {
  return JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid;
}

test('who is cut off goes on signing, but after a sleep only with what the database says now', async (t) => {
  const clock = createTestClock();
  const first = await startIssuer(t, { clock });
  await registerResource(first);
  const { basic } = await registerClient(first);
  const proxy = await startProxy(t, first.databaseUrl);
  let slept = 0;
  const beside = { ...first, databaseUrl: proxy.url };
  const second = await startIssuer(t, { clock, beside, wallClock: () => Date.now() + slept });
  const token = () => post(second, '/token', form, { authorization: basic });
  const old = kidOf((await token()).json.access_token);

  proxy.cut();
  await rotateByHand(first.database, {
    algs: ['ES256'],
    immediately: true,
    dryRun: false,
    now: clock.now(),
    schedule,
  });
  await first.app.refresh();
  slept += 2_000;
  t.equal(kidOf((await token()).json.access_token), old, 'a late timer is no sleep, and the database may be away');

  slept += 60_000;
  const begun = performance.now();
  const refused = await Promise.all([token(), token(), token()]);
  t.ok(performance.now() - begun < 4_000, 'they wait a little, together');
  for (const { status, json, headers } of refused) {
    t.equal(status, 503);
    t.match(json, { error: 'temporarily_unavailable' });
    t.equal(headers['retry-after'], '1');
  }
  t.match((await get(second, '/health/ready')).json, { status: 'unready', reason: /has slept/ });
  t.equal((await get(second, '/.well-known/jwks.json')).status, 200, 'public documents stay');
  await t.rejects(second.app.keyring.sign('ES256', 'logout+jwt', {}), { code: 'temporarily_unavailable' });

  await proxy.mend();
  await eventually(async () => (await token()).status === 200, 5_000);
  t.not(kidOf((await token()).json.access_token), old, 'and then it signs with the key whose turn it is');
  t.match((await get(second, '/health/ready')).json, { status: 'ok' });
  t.equal(second.log.filter(({ msg }) => /has slept/.test(String(msg))).length, 1);
});

test('a process that was stopped answers what came meanwhile with the key that signs now', async (t) => {
  const { url } = await freshDatabase(t);
  const server = await spawnServer(t, { DATABASE_URL: url });
  const run = (...args: string[]) => keyturn({ DATABASE_URL: url, KEYS_DIR: `${server.folder}/keys` }, ...args);
  await run('resource', 'add', 'https://orders.example', '--scope', 'orders:read');
  const machine = ['--grant', 'client_credentials', '--audience', 'https://orders.example', '--json'];
  const { client_id, client_secret } = JSON.parse((await run('client', 'add', 'billing', ...machine)).stdout);
  const token = async () => {
    const response = await fetch(`${server.issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`${client_id}:${client_secret}`)}` },
      body: new URLSearchParams(form),
    });
    return { status: response.status, ...((await response.json()) as { access_token?: string }) };
  };
  await eventually(async () => (await token()).status === 200);
  const old = kidOf((await token()).access_token ?? '');

  server.kill('SIGSTOP');
  const stoppedAt = performance.now();
  const revoked = await run('keys', 'revoke', old, '--json');
  const { successor } = JSON.parse(revoked.stdout);
  const waiting = Promise.all(Array.from({ length: 20 }, token));
  const jwks = fetch(`${server.issuer}/.well-known/jwks.json`).then((response) => response.text());
  await new Promise((resolve) => setTimeout(resolve, 3_500 - (performance.now() - stoppedAt)));
  server.kill('SIGCONT');

  for (const { status, access_token } of await waiting) {
    t.equal(status, 200);
    t.equal(kidOf(access_token ?? ''), successor);
  }
  t.notMatch(await jwks, old, 'nor is a revoked key shown');
});
