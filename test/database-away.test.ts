import { test } from 'tap';
import { createBrowser, outcomeOf } from './support/browser.ts';
import { freshDatabase } from './support/database.ts';
import { startProxy } from './support/database-proxy.ts';
import { post, registerClient, registerResource, startIssuer, temporaryFolder } from './support/issuer.ts';
import {
  authorizePath,
  newVerifier,
  obtainTokens,
  password,
  redeem,
  registerApp,
  registerUser,
  signIn,
} from './support/people.ts';
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
  await eventually(() => errors().length > 0);
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

test('what needs the database answers 503 meanwhile, and goes on afterwards from where it was', async (t) => {
  const { url } = await freshDatabase(t);
  const proxy = await startProxy(t, url);
  const own = await startIssuer(t, { beside: { databaseUrl: url, keysDir: await temporaryFolder(t) } });
  const issuer = await startIssuer(t, { beside: { ...own, databaseUrl: proxy.url } });
  await registerResource(issuer);
  const { email } = await registerUser(issuer);
  const grantTypes = ['authorization_code', 'refresh_token'];
  const app = await registerApp(issuer, { grantTypes });
  const { verifier, challenge } = newVerifier();
  const path = authorizePath(app.id, challenge);

  const stranger = createBrowser(issuer);
  await stranger.open(path);
  const asked = createBrowser(issuer);
  const again = authorizePath(app.id, challenge, { prompt: 'consent' });
  await asked.open(again);
  t.equal(outcomeOf(await asked.submit({ email, password })), 'consent');
  const known = createBrowser(issuer);
  const code = (await signIn(known, path)).left?.searchParams.get('code') ?? '';
  const { json: tokens } = await obtainTokens(issuer, app);
  const origin = 'http://app.localhost:4000';
  await registerClient(issuer, {
    firstParty: true,
    authMethod: 'none',
    origins: [origin],
    grantTypes: ['refresh_token'],
  });
  const fromPage = { origin, 'sec-fetch-site': 'same-site' };
  const credentials = { headers: fromPage, payload: { email, password } };
  const entered = await issuer.app.server.inject({ method: 'POST', url: '/session', ...credentials });
  const held = {
    headers: { ...fromPage, 'x-csrf-token': entered.json().csrf_token },
    cookies: Object.fromEntries(entered.cookies.map(({ name, value }) => [name, value])),
  };

  proxy.cut();
  const pages = {
    'a request': await known.open(path),
    consent: await asked.submit({ decision: 'allow' }),
    'the own page': await known.open('/account'),
    'sign-out': await known.open('/logout'),
  };
  for (const [name, { status, headers, html }] of Object.entries(pages)) {
    t.same([status, headers['retry-after']], [503, '5'], name);
    t.match(html, /Try again in a few seconds/, name);
  }
  const { status, headers, html } = await stranger.submit({ email, password });
  t.same([status, headers['retry-after']], [503, '2'], 'sign-in');
  t.match(html, new RegExp(`value="${email}"`), 'the form stays, with all but the password');
  const bearer = { authorization: `Bearer ${tokens.access_token}` };
  const refresh = { grant_type: 'refresh_token', refresh_token: String(tokens.refresh_token) };
  const asClient = (path: string, token: unknown) =>
    post(issuer, path, { token: String(token) }, { authorization: app.basic });
  const answers = {
    'revoke a token': await asClient('/revoke', tokens.access_token),
    'revoke a grant': await asClient('/revoke', tokens.refresh_token),
    'introspect a refresh token': await asClient('/introspect', tokens.refresh_token),
    code: await redeem(issuer, app, code, verifier),
    refresh: await post(issuer, '/token', refresh, { authorization: app.basic }),
    userinfo: await post(issuer, '/userinfo', {}, bearer),
  };
  for (const [name, { status, json, headers }] of Object.entries(answers)) {
    t.same([status, json.error, headers['retry-after']], [503, 'temporarily_unavailable', '5'], name);
  }
  const calls = {
    'sign-in by JSON': issuer.app.server.inject({ method: 'POST', url: '/session', ...credentials }),
    'refresh by cookie': issuer.app.server.inject({ method: 'POST', url: '/session/refresh', ...held }),
    'sign-out by cookie': issuer.app.server.inject({ method: 'DELETE', url: '/session', ...held }),
  };
  for (const [name, call] of Object.entries(calls)) {
    const { statusCode, headers } = await call;
    t.same([statusCode, Number(headers['retry-after']) > 0], [503, true], name);
  }
  const isActive = async () => (await asClient('/introspect', tokens.access_token)).json.active;
  t.equal(await isActive(), true, 'an access token is introspected from memory, and nobody said that it was revoked');

  await proxy.mend();
  await issuer.app.refresh();
  const renewed = await issuer.app.server.inject({ method: 'POST', url: '/session/refresh', ...held });
  t.equal(renewed.statusCode, 200, 'the cookies are as good as before');
  t.equal(outcomeOf(await stranger.submit({ email, password })), 'code', 'by the form that stayed');
  t.equal(outcomeOf(await asked.open(again)), 'consent');
  t.equal(outcomeOf(await asked.submit({ decision: 'allow' })), 'code');
  t.equal((await redeem(issuer, app, code, verifier)).status, 200, 'the code was not used up');
  t.equal((await post(issuer, '/token', refresh, { authorization: app.basic })).status, 200, 'nor the refresh token');
  t.same([(await asClient('/revoke', tokens.access_token)).status, await isActive()], [200, false]);
  t.same(
    issuer.log.filter(({ msg }) => msg === 'request failed'),
    [],
    'none of it is a mistake of ours',
  );
});
