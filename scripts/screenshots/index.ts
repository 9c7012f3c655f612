/**
 * `npm run screenshots [-- <folder>]`: pictures of the pages with example values, made in the machine's own Chromium.
 * Without a folder, the few that the documentation shows, in docs/screenshots; with one, every page in both schemes on
 * a phone and on a desktop. Where pngquant is installed they are a third as large.
 */
import { spawnSync } from 'node:child_process';
import { mkdir, stat } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { createPages, type Pages } from '../../src/login/pages/index.ts';
import { type Example, examples } from './examples.ts';

interface Shot {
  readonly page: Example;
  readonly scheme: 'light' | 'dark';
  readonly screen: keyof typeof screens;
}

const screens = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } };

/** What the documentation shows: each page, and each scheme and screen among them. */
const documented: readonly Shot[] = [
  { page: 'sign-in', scheme: 'light', screen: 'desktop' },
  { page: 'sign-in-wrong', scheme: 'dark', screen: 'phone' },
  { page: 'consent', scheme: 'light', screen: 'phone' },
  { page: 'choose-account', scheme: 'dark', screen: 'phone' },
  { page: 'sign-out', scheme: 'light', screen: 'phone' },
  { page: 'signed-out', scheme: 'dark', screen: 'phone' },
  { page: 'error', scheme: 'light', screen: 'phone' },
  { page: 'account', scheme: 'light', screen: 'desktop' },
];

const all: readonly Shot[] = (Object.keys(examples) as Example[]).flatMap((page) =>
  (['light', 'dark'] as const).flatMap((scheme) =>
    (['phone', 'desktop'] as const).map((screen) => ({ page, scheme, screen })),
  ),
);

/** Bytes, of a picture to commit. It stays in the history for ever. */
const largest = 60_000;

const documentedFolder = 'docs/screenshots';

/** Chromium without a desktop takes DejaVu for system-ui. Inter, where it is installed, is what most people would see. */
function inLetters(body: Buffer): string {
  return body.toString().replace('system-ui', 'Inter, system-ui');
}

/** Serves each example at its name, and what pages refer to. */
function serve(pages: Pages): Promise<Server> {
  const server = createServer((request, response) => {
    const path = request.url ?? '/';
    const asset = pages.assets.find((one) => one.path === path);
    const example = examples[path.slice(1) as Example];
    if (asset !== undefined) response.writeHead(200, asset.headers).end(inLetters(asset.body));
    else if (example === undefined) response.writeHead(404).end();
    else {
      const { headers, html } = example(pages);
      response.writeHead(200, headers).end(html);
    }
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

async function take(browser: Browser, base: string, { page, scheme, screen }: Shot, folder: string): Promise<void> {
  const context = await browser.newContext({ viewport: screens[screen], colorScheme: scheme });
  const tab = await context.newPage();
  const complaints: string[] = [];
  tab.on('console', (message) => complaints.push(message.text()));
  tab.on('pageerror', (error) => complaints.push(error.message));
  await tab.goto(`${base}/${page}`, { waitUntil: 'networkidle' });
  const path = join(folder, `${page}-${scheme}-${screen}.png`);
  await tab.screenshot({ path, fullPage: true });
  await context.close();
  const shrunk = spawnSync('pngquant', ['--force', '--ext', '.png', '64', path]).error === undefined;
  const { size } = await stat(path);
  if (shrunk && folder === documentedFolder && size > largest) complaints.push(`${size} bytes are too many`);
  process.stdout.write(`${path}  ${size} bytes\n`);
  if (complaints.length > 0) throw new Error(`${path}: ${complaints.join('; ')}`);
}

const [given] = process.argv.slice(2);
const folder = given ?? documentedFolder;
const issuer = 'http://localhost';
const server = await serve(createPages({ brand: { name: 'Keyturn', color: '#0f6b5c' }, issuer }));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--hide-scrollbars'],
});
try {
  await mkdir(folder, { recursive: true });
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  for (const shot of given === undefined ? documented : all) await take(browser, base, shot, folder);
} finally {
  await browser.close();
  server.close();
}
