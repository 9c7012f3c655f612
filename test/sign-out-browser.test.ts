/** Sign-out and the person's own page in a real Chromium, from a page of another site. */
import { createServer } from 'node:http';
import { type Test, test } from 'tap';
import { createBrowser } from './support/browser.ts';
import { openBrowser, withoutBrowser } from './support/chromium.ts';
import { registerResource, startIssuer } from './support/issuer.ts';
import { obtainTokens, password, registerApp, registerUser } from './support/people.ts';

/** A site of another name than the issuer's: its page holds that HTML, everything else says goodbye. */
async function startSite(t: Test): Promise<{ url: string; show(html: string): void }> {
  let page = '';
  const server = createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end(request.url === '/' ? page : '<h1>Goodbye</h1>');
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    show(html) {
      page = html;
    },
  };
}

async function start(t: Test) {
  const issuer = await startIssuer(t, { listen: true });
  await registerResource(issuer);
  await registerUser(issuer);
  const site = await startSite(t);
  const app = await registerApp(issuer, { skipConsent: true, postLogoutRedirectUris: [`${site.url}/goodbye`] });
  const browser = await openBrowser();
  t.teardown(() => browser.close());
  const page = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  page.setDefaultTimeout(30_000);
  const account = `${issuer.issuer}/account`;

  async function signIn(secret = password): Promise<void> {
    await page.goto(account);
    await page.fill('input[type=email]', 'ada@example.org');
    await page.fill('input[type=password]', secret);
    await page.keyboard.press('Enter');
    await page.waitForSelector('text=Your account');
  }

  async function isSignedIn(): Promise<boolean> {
    await page.goto(account);
    return (await page.textContent('h1')) === 'Your account';
  }
  return { issuer, site, app, page, signIn, isSignedIn };
}

/** A form that posts by itself as far as the test is concerned: its one button is pressed. */
function form(action: string, values: Record<string, string>): string {
  const fields = Object.entries(values).map(([name, value]) => `<input type="hidden" name="${name}" value="${value}">`);
  return `<form method="post" action="${action}">${fields.join('')}<button>Go</button></form>`;
}

test("another site's form: it asks without a hint, and with one it signs out", { skip: withoutBrowser }, async (t) => {
  const { issuer, site, app, page, signIn, isSignedIn } = await start(t);
  await signIn();
  const values = { client_id: app.id, post_logout_redirect_uri: `${site.url}/goodbye` };
  site.show(form(`${issuer.issuer}/logout`, values));

  await page.goto(site.url);
  await page.click('button');
  t.equal(await page.textContent('h1'), 'Sign out?');
  await page.click('text=Stay signed in');
  t.equal(await page.textContent('h1'), 'Your account');

  await page.goto(site.url);
  await page.click('button');
  await page.click('button:has-text("Sign out")');
  t.equal(page.url(), `${site.url}/goodbye`, 'the content security policy lets the form lead there');
  t.equal(await isSignedIn(), false);

  const elsewhere = createBrowser(issuer);
  const { json } = await obtainTokens(issuer, app, { scope: 'openid' }, elsewhere);
  site.show(form(`${issuer.issuer}/logout`, { ...values, id_token_hint: json.id_token }));
  const cookies = [...elsewhere.cookies].map(([name, value]) => ({ name, value, url: issuer.issuer }));
  await page.context().addCookies(cookies);
  t.equal(await isSignedIn(), true);
  await page.goto(site.url);
  await page.click('button');
  t.equal(page.url(), `${site.url}/goodbye`);
  t.equal(await isSignedIn(), false);

  await signIn();
  await page.goto(site.url);
  await page.click('button');
  t.equal(await isSignedIn(), true, 'the same hint again does not end another session');
});

test("another site cannot post the forms of a person's own page", { skip: withoutBrowser }, async (t) => {
  const { issuer, site, page, signIn, isSignedIn } = await start(t);
  await signIn();
  const csrf = (await page.getAttribute('input[name=csrf]', 'value')) ?? '';
  const fields = {
    csrf,
    current_password: password,
    new_password: 'stolen by then',
    repeated_password: 'stolen by then',
  };
  site.show(form(`${issuer.issuer}/account`, { ...fields, act: 'change-password' }));
  await page.goto(site.url);
  await page.click('button');
  t.notMatch(await page.textContent('body'), /is changed/);
  site.show(form(`${issuer.issuer}/sign-out`, { csrf, decision: 'sign-out' }));
  await page.goto(site.url);
  await page.click('button');
  t.match(await page.textContent('body'), /another site/);
  t.equal(await isSignedIn(), true);
});

test('a password is changed with nothing but the keyboard', { skip: withoutBrowser }, async (t) => {
  const { page, signIn, isSignedIn } = await start(t);
  await signIn();
  const wanted = 'a rather different sentence';
  await page.focus('#current_password');
  for (const text of ['not my password', wanted, wanted]) {
    await page.keyboard.type(text);
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Enter');
  t.match(await page.textContent('[role=alert]'), /is not that one/);
  await page.fill('#current_password', password);
  await page.fill('#new_password', wanted);
  await page.fill('#repeated_password', wanted);
  await page.keyboard.press('Enter');
  t.match(await page.textContent('[role=status]'), /is changed/);
  t.equal(await isSignedIn(), true);
  await page.click('text=Sign out');
  await page.click('button:has-text("Sign out")');
  t.equal(await page.textContent('h1'), 'You are signed out');
  await signIn(wanted);
});
