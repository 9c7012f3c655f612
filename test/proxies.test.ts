/** deploy/nginx.conf and deploy/Caddyfile, with a real nginx and a real Caddy in front of two real instances. */
import { createServer, type Socket } from 'node:net';
import { type Test, test } from 'tap';
import { createBrowser } from './support/browser.ts';
import { type EventReader, openEvents } from './support/event-stream.ts';
import { ask, ca, sendThrough, startFront } from './support/front.ts';
import { freePort, registerResource, startIssuer } from './support/issuer.ts';
import { authorizePath, newVerifier, redirectUri, registerApp, registerUser, signIn } from './support/people.ts';
import { eventually, spawnServer } from './support/process.ts';
import { without } from './support/programs.ts';

const form = { 'content-type': 'application/x-www-form-urlencoded' };
const forged = {
  'x-forwarded-for': '203.0.113.9',
  'x-forwarded-host': 'evil.example',
  'x-forwarded-proto': 'http',
  'x-forwarded-prefix': '/evil',
  forwarded: 'for=203.0.113.9;host=evil.example;proto=http',
  'x-real-ip': '203.0.113.9',
};

/** Two processes, the proxy in front of them, an app and a person. */
async function start(t: Test, name: string) {
  const port = await freePort();
  const prepared = await startIssuer(t, { settings: { ISSUER: `https://localhost:${port}` } });
  await registerResource(prepared);
  await registerUser(prepared);
  const app = await registerApp(prepared, {
    grantTypes: ['authorization_code', 'refresh_token', 'client_credentials'],
  });
  await prepared.app.close();
  const instance = async () => {
    const admin = await freePort();
    const env = { DATABASE_URL: prepared.databaseUrl, KEYS_DIR: prepared.keysDir, ISSUER: prepared.issuer };
    const settings = { TRUST_PROXY: '127.0.0.1', ADMIN_PORT: String(admin), LOG_LEVEL: 'debug' };
    return spawnServer(t, { ...env, ...settings });
  };
  const one = await instance();
  const other = await instance();
  const front = await startFront[name]?.(t, port, [Number(one.env.PORT), Number(other.env.PORT)]);
  if (front === undefined) throw new Error(`no ${name}`);
  const post = async (path: string, values: Record<string, string>) => {
    const headers = { ...form, authorization: app.basic };
    const body = new URLSearchParams(values).toString();
    const { status, html } = await ask(port, { method: 'POST', path, headers, body });
    return { status, json: html === '' ? {} : JSON.parse(html) };
  };
  const get = (path: string, headers: Record<string, string> = {}) => ask(port, { path, headers });
  return { prepared, app, one, other, port, front, post, get };
}

type Started = Awaited<ReturnType<typeof start>>;

/** The same answer from the proxy twice, so from one instance and the other. */
const twice = <T>(work: () => Promise<T>) => Promise.all([work(), work()]);

/** From a sign-in to a revocation, each request to whichever instance has its turn. */
async function walk(t: Test, { prepared, app, port, post, get }: Started, events: EventReader): Promise<void> {
  const { verifier, challenge } = newVerifier();
  const browser = createBrowser(prepared, { send: sendThrough(port, '127.0.0.2', forged) });
  const { left } = await signIn(browser, authorizePath(app.id, challenge, { scope: 'openid profile orders:read' }));
  t.match(left, { origin: new URL(redirectUri).origin, search: /[?&]code=.*&iss=https%3A%2F%2Flocalhost%3A/ });
  t.ok(
    browser.setCookies.every((line) => /^__Host-.*; Secure/i.test(line)),
    'whatever scheme a header names',
  );
  const code = left?.searchParams.get('code') ?? '';
  const redeemed = await post('/token', {
    grant_type: 'authorization_code',
    code,
    redirect_uri: redirectUri,
    code_verifier: verifier,
  });
  t.equal(redeemed.status, 200);
  let tokens = redeemed.json;
  for (let count = 0; count < 5; count += 1) {
    const { status, json } = await post('/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token });
    t.equal(status, 200);
    tokens = json;
  }
  const userinfo = () => get('/userinfo', { authorization: `Bearer ${tokens.access_token}` });
  t.same(
    (await twice(userinfo)).map(({ status }) => status),
    [200, 200],
  );
  t.equal((await post('/revoke', { token: tokens.access_token })).status, 200);
  t.match(
    await events.next(),
    { event: 'revocations', data: { entries: [[/./, Number]] } },
    'at once, through the proxy',
  );
  await eventually(async () => (await twice(userinfo)).every(({ status }) => status === 401));

  const seen = await prepared.database.query<{ address: string }>(
    `SELECT DISTINCT address FROM audit_event WHERE actor LIKE 'user %'`,
  );
  t.same(seen, [{ address: '127.0.0.2' }], 'the address is what the proxy saw, not what a client says');
}

async function cannotBeForged(t: Test, { prepared: { issuer }, get, port, one, other }: Started): Promise<void> {
  for (const path of ['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server']) {
    const { html } = await get(path, forged);
    t.equal(JSON.parse(html).issuer, issuer);
    t.notMatch(html, /evil|http:/);
  }
  const { status, html } = await ask(port, {
    path: '/.well-known/openid-configuration',
    servername: 'localhost',
    headers: { host: 'evil.example' },
  });
  t.notMatch(html, /evil/, `another name is answered with ${status}`);
  t.same(
    (await twice(() => get('/metrics'))).map(({ status }) => status),
    [404, 404],
    'no metrics for the world',
  );
  for (const { env } of [one, other]) t.equal((await fetch(`http://localhost:${env.ADMIN_PORT}/metrics`)).status, 200);
}

/**
 * So many requests one after the other, all answered with 200. A POST may be a 502, where it is sent on a connection that an
 * instance lets go in the same moment as it stops: no proxy may send it again.
 */
async function allGood(t: Test, { get, post, front }: Started, count = 12): Promise<void> {
  for (let at = 0; at < count; at += 1) {
    const statuses = [(await get('/.well-known/jwks.json')).status];
    statuses.push((await post('/token', { grant_type: 'client_credentials' })).status);
    if (/^200,(200|502)$/.test(String(statuses))) continue;
    t.fail(String(statuses), { proxy: (await front.output()).slice(-4_000) });
  }
}

for (const name of ['nginx', 'caddy']) {
  test(`behind ${name}: two instances are one issuer`, { skip: without(name) }, async (t) => {
    const started = await start(t, name);
    const events = await openEvents(t, started.port, '/revocations/stream', {}, ca);
    t.match(await events.next(), { event: 'revocations' });
    await walk(t, started, events);
    await cannotBeForged(t, started);
    const { one, other, front } = started;
    const asked = (server: typeof one) =>
      server.log().filter(({ path }) => path === '/token' || path === '/.well-known/jwks.json').length;
    await eventually(() => asked(one) > 0 && asked(other) > 0);
    const output = await front.output();
    t.notMatch(output, /eyJ|client_assertion|code=|state=|ktcs_/, 'its log has no token and no query');

    t.match(await events.next(), { event: 'heartbeat' }, 'the stream stays open');
    const reader = await openEvents(t, started.port, '/revocations/stream', {}, ca);
    await reader.next();
    one.kill('SIGKILL');
    await one.ended;
    await allGood(t, started);
    const again = await spawnServer(t, one.env, { folder: one.folder });
    await eventually(async () => {
      await allGood(t, started, 1);
      return asked(again) > 0;
    });
    other.kill('SIGTERM');
    await allGood(t, started);
    t.equal((await other.ended).code, 0, 'it stops, whoever reads the stream');
    await reader.ended;
  });

  test(`behind ${name}: what an instance has taken and not answered is asked again for a GET alone`, {
    skip: without(name),
  }, async (t) => {
    let taken: string[] = [];
    const sockets = new Set<Socket>();
    /** Takes a request, and is gone. */
    const dying = async () => {
      const server = createServer((socket) => {
        sockets.add(socket);
        socket
          .on('error', () => undefined)
          .on('data', (data) => {
            const line = data.toString().split(' HTTP/')[0] ?? '';
            if (/health/.test(line))
              return socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
            taken.push(line);
            return socket.destroy();
          });
      });
      const port = await freePort();
      server.listen(port, '127.0.0.1');
      t.teardown(() => server.close());
      return port;
    };
    const through = async () => {
      taken = [];
      return (await startFront[name]?.(t, await freePort(), [await dying(), await dying()]))?.port ?? 0;
    };
    t.equal((await ask(await through(), { path: '/authorize' })).status, 502);
    t.match(taken, ['GET /authorize', 'GET /authorize']);
    const token = { method: 'POST', path: '/token', headers: form, body: 'grant_type=refresh_token' };
    t.equal((await ask(await through(), token)).status, 502);
    t.same(taken, ['POST /token'], 'once');
  });
}
