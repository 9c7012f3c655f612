/** A single-page app in a real Chromium: oidc-client-ts, a public client on an origin of its own. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { test } from 'tap';
import { openBrowser, withoutBrowser } from './support/chromium.ts';
import { freePort, orders, registerResource, startIssuer } from './support/issuer.ts';
import { password, registerApp, registerUser } from './support/people.ts';
import { project } from './support/project.ts';

const library = readFileSync(project('node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js'));

function pageOf(settings: object): string {
  return `<!doctype html><title>SPA</title><p id="who">nobody</p><script src="/oidc-client-ts.min.js"></script><script>
    const manager = new oidc.UserManager({ ...${JSON.stringify(settings)}, userStore: new oidc.WebStorageStateStore({ store: sessionStorage }) });
    const show = (user) => { document.getElementById('who').textContent = user ? user.profile.name : 'nobody'; window.user = user; };
    (async () => {
      if (location.pathname === '/callback') { await manager.signinCallback(); history.replaceState({}, '', '/'); }
      show(await manager.getUser());
    })().catch((error) => { document.getElementById('who').textContent = String(error); });
  </script>`;
}

test('oidc-client-ts signs in, reads userinfo and refreshes, across origins', { skip: withoutBrowser }, async (t) => {
  const issuer = await startIssuer(t, { listen: true });
  await registerResource(issuer);
  await registerUser(issuer);
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const { id } = await registerApp(issuer, {
    name: 'Single-page app',
    authMethod: 'none',
    secretDigests: [],
    grantTypes: ['authorization_code', 'refresh_token'],
    redirectUris: [`${origin}/callback`],
    origins: [origin],
  });
  const settings = {
    authority: issuer.issuer,
    client_id: id,
    redirect_uri: `${origin}/callback`,
    scope: 'openid profile orders:read',
    resource: orders.identifier,
    loadUserInfo: true,
  };
  const server = createServer((request, response) => {
    if (request.url === '/oidc-client-ts.min.js') response.setHeader('content-type', 'text/javascript').end(library);
    else response.setHeader('content-type', 'text/html').end(pageOf(settings));
  }).listen(port, '127.0.0.1');
  t.teardown(() => server.close());
  const browser = await openBrowser();
  t.teardown(() => browser.close());
  const page = await browser.newPage();
  page.setDefaultTimeout(30_000);

  await page.goto(origin);
  await page.waitForSelector('text=nobody');
  await page.evaluate('void manager.signinRedirect()');
  await page.fill('input[type=email]', 'ada@example.org');
  await page.fill('input[type=password]', password);
  await page.keyboard.press('Enter');
  await page.click('button:has-text("Allow")');
  await page.waitForSelector('#who:has-text("Ada Lovelace")');
  t.match(page.url(), origin, 'back at the app, with what userinfo says');

  const tokens = 'manager.getUser().then((user) => ({ access: user.access_token, refresh: user.refresh_token }))';
  const before = (await page.evaluate(tokens)) as { access: string; refresh: string };
  await page.evaluate('manager.signinSilent()');
  const after = (await page.evaluate(tokens)) as { access: string; refresh: string };
  t.not(after.access, before.access);
  t.not(after.refresh, before.refresh, 'the refresh token of a public client rotates');
});
