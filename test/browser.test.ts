/** What a person does, in a real Chromium, with the demo's web apps and API on ports of their own. */
import type { Page } from 'playwright-core';
import { type Test, test } from 'tap';
import { openBrowser, withoutBrowser } from './support/chromium.ts';
import { startExample } from './support/examples.ts';
import { freePort, registerResource, startIssuer, type TestIssuer } from './support/issuer.ts';
import { newVerifier, password, registerApp, registerUser } from './support/people.ts';

async function startApp(t: Test, issuer: TestIssuer, name: string, api: string): Promise<string> {
  const port = await freePort();
  const url = `http://localhost:${port}`;
  const { id, secret } = await registerApp(issuer, {
    name,
    grantTypes: ['authorization_code', 'refresh_token'],
    redirectUris: [`${url}/callback`],
    postLogoutRedirectUris: [`${url}/`],
    backchannelLogoutUri: `${url}/backchannel-logout`,
  });
  const client = { CLIENT_ID: id, CLIENT_SECRET: secret };
  await startExample(t, 'web-app', { ISSUER: issuer.issuer, NAME: name, PORT: String(port), API: api, ...client });
  return url;
}

async function start(t: Test) {
  const issuer = await startIssuer(t, { listen: true });
  await registerResource(issuer);
  await registerUser(issuer);
  const apiPort = await freePort();
  await startExample(t, 'api', { ISSUER: issuer.issuer, PORT: String(apiPort) });
  const api = `http://localhost:${apiPort}`;
  const [shop, bookings] = [await startApp(t, issuer, 'Web shop', api), await startApp(t, issuer, 'Bookings', api)];
  const browser = await openBrowser();
  t.teardown(() => browser.close());
  // Nothing of ours needs scripts, so the pages are met as who has switched them off meets them.
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  return { issuer, shop, bookings, page };
}

const person = (page: Page) => page.textContent('#person');

test('one sign-in for two apps, in a real browser without scripts', { skip: withoutBrowser }, async (t) => {
  const { issuer, shop, bookings, page } = await start(t);

  await page.goto(shop);
  await page.click('text=Sign in');
  t.ok(page.url().startsWith(`${issuer.issuer}/authorize`), 'the issuer asks who it is');
  await page.fill('input[type=email]', 'ada@example.org');
  await page.fill('input[type=password]', 'not the password');
  await page.keyboard.press('Enter');
  t.match(await page.textContent('[role=alert]'), /do not belong together/);
  await page.fill('input[type=password]', password);
  await page.keyboard.press('Enter');
  await page.waitForSelector('button:has-text("Allow")');
  t.match(await page.textContent('h1'), /Web shop asks/);
  await page.click('button:has-text("Allow")');
  t.equal(page.url(), `${shop}/`);
  t.equal(await person(page), 'Ada Lovelace');
  t.match(await page.textContent('ul'), /umbrella/, 'the API has verified the token by itself');

  await page.goto(bookings);
  await page.click('text=Sign in');
  t.equal(await page.locator('input[type=password]').count(), 0, 'no password the second time');
  await page.click('button:has-text("Allow")');
  t.equal(await person(page), 'Ada Lovelace');

  await page.click('text=Sign out everywhere');
  await page.waitForURL(`${bookings}/`);
  t.match(await page.textContent('body'), /Nobody is signed in here/);
  await page.goto(shop);
  t.match(await page.textContent('body'), /Nobody is signed in here/, 'the other app was told');

  const silent = new URL('/authorize', issuer.issuer);
  const { client_id } = Object.fromEntries(new URL(await authorizeUrl(shop)).searchParams);
  silent.search = new URLSearchParams({
    ...{ response_type: 'code', client_id: client_id ?? '', redirect_uri: `${shop}/callback`, scope: 'openid' },
    ...{ prompt: 'none', code_challenge_method: 'S256', code_challenge: newVerifier().challenge },
  }).toString();
  const answer = await page.context().request.get(silent.href, { maxRedirects: 0 });
  t.match(answer.headers().location, /error=login_required/);
});

/** Where an app sends a browser that wants to sign in. */
async function authorizeUrl(app: string): Promise<string> {
  const { headers } = await fetch(`${app}/sign-in`, { redirect: 'manual' });
  return headers.get('location') ?? '';
}

test('who says no goes back to the app with nothing', { skip: withoutBrowser }, async (t) => {
  const { shop, page } = await start(t);
  await page.goto(`${shop}/sign-in`);
  await page.fill('input[type=email]', 'ada@example.org');
  await page.fill('input[type=password]', password);
  await page.click('button:has-text("Sign in")');
  await page.click('button:has-text("Deny")');
  t.match(page.url(), /error=access_denied/);
  t.match(page.url(), new RegExp(`^${shop}/callback`));
});
