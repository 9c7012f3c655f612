/** The examples of docs/integrate.md that have pages, in a real Chromium. */
import type { Browser, Page } from 'playwright-core';
import { t as file, type Test, test } from 'tap';
import { createRevoker } from '../src/tokens/revocation.ts';
import { openBrowser, withoutBrowser } from './support/chromium.ts';
import { account, type Registered, type Setting, startSetting } from './support/examples.ts';
import { eventually } from './support/process.ts';

const skip = withoutBrowser;
const setting = skip ? (undefined as unknown as Setting) : await startSetting(file);
const browser = skip ? (undefined as unknown as Browser) : await openBrowser();
file.teardown(() => browser?.close());

/** A page in a browser that knows nothing, and what it has complained of. */
async function open(t: Test, url: string) {
  const context = await browser.newContext();
  t.teardown(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => complaints.push(message.text()));
  await page.goto(url);
  return { page, complaints };
}

async function enterPassword(page: Page): Promise<void> {
  await page.fill('input[type=email]', account.email);
  await page.fill('input[type=password]', account.password);
  await page.keyboard.press('Enter');
}

const text = async (page: Page) => (await page.innerText('body')).replace(/\s+/g, ' ');

/** How often the grants of a client have been refreshed, all in all. */
async function refreshes(clientId: string): Promise<number> {
  const grants = await setting.issuer.database.prisma.grant.findMany({ where: { clientId } });
  return grants.reduce((sum, { generation }) => sum + generation - 1, 0);
}

/** Voids the person's access tokens and no more, as a role that is taken away does: all that apps have to do is refresh. */
async function voidAccessTokens(): Promise<void> {
  const { database, app } = setting.issuer;
  const { id } = await database.prisma.user.findFirstOrThrow();
  const revoker = createRevoker({ database, now: () => Date.now() / 1000, longestLife: () => 611 });
  await revoker.changeUser(id, ({ epoch }) => ({ epoch: epoch + 1 }), 'test');
  await app.refresh();
}

let started: Promise<{ client: Registered; url: string }> | undefined;

/** The web app, which two tests share. */
function webApp() {
  started ??= setting.register('web-app').then(async (client) => {
    return { client, url: (await setting.start(file, 'web-app', client)).url };
  });
  return started;
}

test('the web app signs in, refreshes, and signs out by every way', { skip }, async (t) => {
  const { client, url } = await webApp();
  const { page } = await open(t, url);
  await page.click('text=Sign in');
  await enterPassword(page);
  await page.waitForURL(`${url}/`);
  t.match(await text(page), /Hello, Ada Lovelace\. .*12 screws/);
  const cookies = (await page.context().cookies(url)).filter(({ name }) => /^\d+-/.test(name));
  t.match(
    cookies,
    [{ httpOnly: true, sameSite: 'Lax', value: /^[\w-]{43}$/ }],
    'one cookie, with nothing in it but an id',
  );

  t.equal(await refreshes(client.clientId), 0);
  await voidAccessTokens();
  await eventually(async () => {
    await page.reload();
    t.match(await text(page), /12 screws/, 'the person notices nothing');
    return (await refreshes(client.clientId)) === 1;
  });

  await page.click('text=Sign out here');
  t.match(await text(page), /Nobody is signed in here/);
  await page.click('text=Sign in');
  await page.waitForURL(`${url}/`);
  t.match(await text(page), /Hello, Ada/, 'without a password: the issuer still knows the person');

  await page.click('text=Sign out everywhere');
  await page.waitForURL(`${url}/`);
  t.match(await text(page), /Nobody is signed in here/);
  await page.click('text=Sign in');
  await enterPassword(page);
  await page.waitForURL(`${url}/`);

  const told = () =>
    setting.issuer.log.filter(({ msg, ...line }) => line.client === client.clientId && /was told/.test(String(msg)));
  const before = told().length;
  await setting.keyturn('user', 'sign-out', account.email);
  await eventually(() => told().length > before);
  await page.reload();
  t.match(await text(page), /Nobody is signed in here/);
  t.equal(await page.locator('[role=alert]').count(), 0, 'it was told, and had not to find out');
});

test('the web app is not talked into anything', { skip }, async (t) => {
  const { url } = await webApp();
  const { page } = await open(t, url);
  await page.click('text=Sign in');
  await enterPassword(page);
  await page.waitForURL(`${url}/`);
  const request = page.context().request;
  for (const path of ['/sign-out', '/sign-out-here']) {
    const answer = await request.post(url + path, { headers: { origin: 'http://localhost:1' } });
    t.equal(answer.status(), 403, 'a neighbour’s form');
  }
  for (const logout_token of ['', 'x', 'eyJhbGciOiJub25lIn0.e30.']) {
    const answer = await request.post(`${url}/backchannel-logout`, { form: { logout_token } });
    t.equal(answer.status(), 400, 'a forged logout token');
  }
  await page.goto(`${url}/callback?code=x&state=of-another`);
  t.equal(page.url(), `${url}/`, 'a sign-in that another browser began');
  t.match(await text(page), /Hello, Ada/);
});

test('the single-page app signs in, reloads, refreshes and signs out', { skip }, async (t) => {
  const client = await setting.register('spa');
  const { url } = await setting.start(t, 'spa', client);
  const { page, complaints } = await open(t, url);
  await page.waitForSelector('#nobody:visible');
  t.equal(await page.textContent('#problem'), '', 'that nobody is signed in is no problem');
  await page.click('#sign-in');
  await enterPassword(page);
  await page.waitForSelector('#orders >> text=12 screws');
  t.match(await text(page), /Hello, Ada Lovelace/);
  const stored = 'JSON.stringify({ ...localStorage, ...sessionStorage })';
  t.notMatch(await page.evaluate(stored), /access_token|ey[\w-]+\./, 'no token is stored');
  await page.reload();
  await page.waitForSelector('#orders >> text=12 screws');
  t.same(complaints, [], 'nor did its headers stand in the way');

  const before = await refreshes(client.clientId);
  await page.click('#refresh');
  await eventually(async () => (await refreshes(client.clientId)) === before + 1);
  await voidAccessTokens();
  await eventually(async () => {
    await page.click('#reload');
    return (await refreshes(client.clientId)) > before + 1;
  });
  t.equal(await page.textContent('#problem'), '');

  await setting.keyturn('user', 'sign-out', account.email);
  await setting.issuer.app.refresh();
  await eventually(async () => {
    await page.click('#reload:visible', { timeout: 1_000 }).catch(() => {});
    return page.isVisible('#nobody');
  });
  t.match(await page.textContent('#problem'), /sign-in has ended/);

  await page.click('#sign-in');
  await enterPassword(page);
  await page.waitForSelector('#orders >> text=12 screws');
  await page.click('#sign-out');
  await page.waitForSelector('#nobody:visible');
  t.equal(page.url(), `${url}/`);
});

test('the first-party app signs in by its own form, orders, refreshes and signs out', { skip }, async (t) => {
  const client = await setting.register('first-party');
  const { url } = await setting.start(t, 'first-party', client);
  const { page } = await open(t, url);
  await page.fill('input[type=email]', account.email);
  await page.fill('input[type=password]', 'wrong');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#problem >> text=do not belong together');
  await enterPassword(page);
  await page.waitForSelector('#orders >> text=12 screws');
  t.equal(await page.evaluate('document.cookie'), '', 'no script sees a token');
  await page.fill('[name=order]', '1 lamp');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#orders >> text=1 lamp');
  const forged = `fetch('/orders', { method: 'POST', body: '{"order":"x"}', headers: { 'Content-Type': 'application/json' } }).then(({ status }) => status)`;
  t.equal(await page.evaluate(forged), 403, 'not without the CSRF value');

  await voidAccessTokens();
  await eventually(async () => {
    await page.reload();
    await page.waitForSelector('#orders >> text=1 lamp');
    return (await refreshes(client.clientId)) === 1;
  });
  await page.click('#sign-out');
  await page.waitForSelector('#sign-in:visible');
  await page.reload();
  await page.waitForSelector('#sign-in:visible');
  t.equal(await page.textContent('#problem'), '');
});
