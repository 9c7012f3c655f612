import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** The machine's own Chromium: at CHROMIUM, or where distributions put it. */
const executablePath = [process.env.CHROMIUM, ...places].find((path) => path !== undefined && existsSync(path));

/** Why a test of pages in a browser cannot run here; false if it can. For tap's `skip`. */
export const withoutBrowser: string | false =
  executablePath === undefined && 'NOT TESTED: no Chromium on this machine (CHROMIUM, or /usr/bin/chromium)';

/** A browser of its own, which asks nobody on the network for anything. The caller closes it. */
export function openBrowser(): Promise<Browser> {
  const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'];
  const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', ...quiet];
  return chromium.launch({ executablePath: executablePath ?? '', args });
}
