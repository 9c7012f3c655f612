/** The demo's page of one token, in a real Chromium, with its API and an issuer on ports of their own. */
import type { FastifyInstance } from 'fastify';
import { t as file, type Test, test } from 'tap';
import { createTokenApp } from '../scripts/demo/token-app.ts';
import { openBrowser, withoutBrowser } from './support/chromium.ts';
import { startExample } from './support/examples.ts';
import { freePort, registerClient, registerResource, startIssuer } from './support/issuer.ts';
import { eventually, keyturn } from './support/process.ts';

const settings = { KEY_SIGN_FOR: '320', ACCESS_TOKEN_TTL: '300', JWKS_MAX_AGE: '10' };
const issuer = await startIssuer(file, { listen: true, settings });
await registerResource(issuer);
const client = await registerClient(issuer, { name: 'One token' });

async function serve(server: FastifyInstance, port: number): Promise<void> {
  await server.listen({ host: 'localhost', port });
  file.teardown(() => server.close());
}

const [apiPort, port] = [await freePort(), await freePort()];
await startExample(file, 'api', { ISSUER: issuer.issuer, PORT: String(apiPort) });
const url = `http://localhost:${port}`;
const app = await createTokenApp({
  ...{ url, issuer: issuer.issuer, clientId: client.id, clientSecret: client.secret },
  ordersUrl: `http://localhost:${apiPort}/orders`,
  keys: async () => {
    const env = { DATABASE_URL: issuer.databaseUrl, ...settings };
    return JSON.parse((await keyturn(env, 'keys', 'list', '--json')).stdout);
  },
});
await serve(app, port);

async function open(t: Test, javaScriptEnabled = true) {
  const browser = await openBrowser();
  t.teardown(() => browser.close());
  const context = await browser.newContext({ javaScriptEnabled });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const complaints: string[] = [];
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.goto(url);
  return { page, complaints };
}

test('a token lives, is revoked, and the next call is refused', { skip: withoutBrowser }, async (t) => {
  const { page, complaints } = await open(t);
  t.equal(await page.textContent('#status'), '200');
  t.match(await page.textContent('#words'), /umbrella/);
  t.match(await page.textContent('#left'), /^[45]:\d\d left by its exp$/);
  t.match(await page.textContent('.keys'), / signs, has signed this token/);
  t.match(await page.textContent('.keys'), / signs next/);
  const before = await page.textContent('#left');
  await eventually(async () => (await page.textContent('#left')) !== before);
  t.ok((await page.locator('.calls .good').count()) > 1, 'it is called again and again');

  await page.click('text=Revoke it');
  t.equal(await page.textContent('#status'), '401');
  const [, milliseconds] = /refuses it, (\d+) ms after/.exec((await page.textContent('#words')) ?? '') ?? [];
  t.ok(Number(milliseconds) <= 1_000, `${milliseconds} ms`);
  t.match(await page.textContent('.answer code'), /Bearer error="invalid_token".*revoked/);

  await page.click('text=Take another');
  t.equal(await page.textContent('#status'), '200');
  t.same(complaints, [], 'its policy lets all of it through');
});

test('it works without scripts', { skip: withoutBrowser }, async (t) => {
  const { page } = await open(t, false);
  await page.click('text=Take another');
  t.equal(await page.textContent('#status'), '200');
  await page.click('text=Revoke it');
  t.equal(await page.textContent('#status'), '401');
});

test('no page of another origin can have a token revoked', async (t) => {
  await app.inject({ method: 'POST', url: '/take', headers: { origin: url } });
  for (const headers of [{}, { origin: 'https://evil.example' }, { origin: 'null' }, { origin: `${url}0` }]) {
    const { statusCode } = await app.inject({ method: 'POST', url: '/revoke', headers });
    t.equal(statusCode, 403, JSON.stringify(headers));
  }
  const { payload, headers } = await app.inject('/live');
  t.match(payload, /id="status">200/);
  t.notMatch(payload, / style=|<script/);
  t.match(headers['content-security-policy'], /default-src 'none'.*frame-ancestors 'none'/);
});
