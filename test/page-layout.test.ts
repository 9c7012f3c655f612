import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser } from 'playwright-core';
import { type Test, test } from 'tap';
import { type Example, examples } from '../scripts/screenshots/examples.ts';
import { createPages, type Page } from '../src/login/pages/index.ts';
import { openBrowser, withoutBrowser } from './support/chromium.ts';
import { hostilePages } from './support/hostile-pages.ts';

interface Setting {
  readonly browser: Browser;
  /** Serves a page at /, and answers its posts with a redirect to another origin; resolves to the page's address. */
  show(page: Page): string;
  /** The headers of the last post. */
  posted(): Record<string, unknown>;
}

const pages = createPages({ brand: { name: 'Keyturn', color: '#0f6b5c' }, issuer: 'http://localhost' });

async function setting(t: Test): Promise<Setting> {
  let shown: Page | undefined;
  let posted = {};
  let elsewhere = '';
  const server = createServer((request, response) => {
    const asset = pages.assets.find(({ path }) => path === request.url);
    if (request.method === 'POST') {
      posted = request.headers;
      response.writeHead(303, { location: elsewhere }).end();
    } else if (asset !== undefined) response.writeHead(200, asset.headers).end(asset.body);
    else if (request.url !== '/') response.writeHead(200, { 'content-type': 'text/plain' }).end('elsewhere');
    else response.writeHead(200, shown?.headers).end(shown?.html);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  elsewhere = `http://localhost:${port}/callback`; // another origin than 127.0.0.1
  const browser = await openBrowser();
  t.teardown(async () => {
    await browser.close();
    server.closeAllConnections();
    server.close();
  });
  return {
    browser,
    posted: () => posted,
    show(page) {
      shown = page;
      return `http://127.0.0.1:${port}/`;
    },
  };
}

test('pages in Chromium', { skip: withoutBrowser }, async (t) => {
  const { browser, show, posted } = await setting(t);

  await t.test('nothing is wider than a small screen, whatever a page has to say', async (t) => {
    const tab = await browser.newPage({ viewport: { width: 320, height: 640 } });
    const complaints: string[] = [];
    tab.on('console', (message) => complaints.push(message.text()));
    tab.on('dialog', (dialog) => complaints.push(dialog.message()));
    const texts = ['W'.repeat(1000), `\u202E<script>alert(1)</script>${'👩‍👩‍👧'.repeat(300)}`, 'ﷺ'.repeat(300)];
    const all = [
      ...Object.keys(examples).map((name) => examples[name as Example](pages)),
      ...texts.flatMap(hostilePages),
    ];
    for (const page of all) {
      await tab.goto(show(page));
      const width = await tab.evaluate('document.documentElement.scrollWidth');
      t.equal(width, 320, (await tab.title()).slice(0, 40));
    }
    t.same(complaints, [], 'the policy stops nothing that a page needs');
    await tab.close();
  });

  await t.test('a form says where it comes from, and its answer may lead to a client', async (t) => {
    const tab = await browser.newPage();
    for (const name of ['consent', 'sign-out'] as const) {
      const address = show(examples[name](pages));
      await tab.goto(address);
      await tab.click('.primary');
      await tab.waitForURL(/\/callback$/);
      t.equal(posted().origin, new URL(address).origin);
      t.equal(posted()['sec-fetch-site'], 'same-origin');
    }
    await tab.close();
  });

  await t.test('the keyboard goes through sign-in from the top, and Enter sends it', async (t) => {
    const tab = await browser.newPage();
    await tab.goto(show(examples['sign-in'](pages)));
    await tab.waitForSelector('#email:focus'); // which comes with the first frame, perhaps after the page
    await tab.keyboard.type('ada@example.com');
    await tab.keyboard.press('Tab');
    await tab.keyboard.type('correct horse');
    const sent = tab.waitForRequest((request) => request.method() === 'POST');
    await tab.keyboard.press('Enter');
    const fields = new URLSearchParams((await sent).postData() ?? '');
    t.match(Object.fromEntries(fields), { email: 'ada@example.com', password: 'correct horse', csrf: /./ });
    await tab.close();
  });
});
