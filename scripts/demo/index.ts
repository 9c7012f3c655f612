/**
 * `npm run demo`: an issuer, two web apps and an API (of examples/), and a page of one token on this machine, and an account to
 * try them with. Everything lives in a temporary folder and is gone when it ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { KeyLife } from './keys-view.ts';
import { createTokenApp } from './token-app.ts';

const checkout = resolve(import.meta.dirname, '../../..');
const port = Number(process.env.PORT ?? 3000);
const issuer = `http://localhost:${port}`;
const audience = 'https://orders.example';
const account = { email: 'ada@example.org', password: 'turn the key twice' };
const apps = [
  { name: 'Web shop', port: port + 1, url: `http://localhost:${port + 1}` },
  { name: 'Bookings', port: port + 2, url: `http://localhost:${port + 2}` },
];

const folder = await mkdtemp(join(tmpdir(), 'keyturn-demo-'));
await chmod(folder, 0o755); // as root, Postgres runs as another account, which has to come there
const env = {
  ...process.env,
  PORT: String(port),
  ISSUER: issuer,
  DATA_DIR: join(folder, 'data'),
  KEYS_DIR: join(folder, 'keys'),
  LOG_LEVEL: process.env.LOG_LEVEL ?? 'warn',
  // So that keys turn while one looks on; by default they sign for thirty days.
  KEY_SIGN_FOR: process.env.KEY_SIGN_FOR ?? '320',
  JWKS_MAX_AGE: process.env.JWKS_MAX_AGE ?? '10',
  ACCESS_TOKEN_TTL: process.env.ACCESS_TOKEN_TTL ?? '300',
  BRAND_NAME: process.env.BRAND_NAME ?? 'Keyturn demo',
};

/** Runs `keyturn` and answers what it prints as JSON. */
function keyturn<Printed = Record<string, string>>(args: string[], input = ''): Promise<Printed> {
  const child = spawn(process.execPath, [join(checkout, 'scripts/keyturn.js'), ...args, '--json'], {
    cwd: folder,
    env,
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  child.stdin.end(input);
  return new Promise((done, fail) => {
    child.once('close', (code) => (code === 0 ? done(JSON.parse(stdout)) : fail(new Error(stderr.trim()))));
  });
}

/** Starts a program; resolves once it has said `ready`. */
function startProgram(path: string, ready: string, settings: Record<string, string> = {}): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(checkout, path)], {
    cwd: folder,
    env: { ...env, ...settings },
    detached: true, // Ctrl-C is for us: the issuer goes last
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  programs.unshift(child);
  return new Promise((done, fail) => {
    child.stdout?.on('data', (chunk) => String(chunk).includes(ready) && done(child));
    child.once('exit', (code) => fail(new Error(`${path} ended with exit code ${code}`)));
  });
}

async function addApp({ name, port: appPort, url }: (typeof apps)[number], api: string): Promise<void> {
  const added = await keyturn([
    ...['client', 'add', name, '--grant', 'authorization_code', '--grant', 'refresh_token'],
    ...['--redirect-uri', `${url}/callback`, '--post-logout-redirect-uri', `${url}/`],
    ...['--backchannel-logout-uri', `${url}/backchannel-logout`, '--audience', audience],
    ...['openid', 'profile', 'email', 'orders:read'].flatMap((scope) => ['--scope', scope]),
  ]);
  const [clientId = '', clientSecret = ''] = [added.client_id, added.client_secret];
  const settings = { NAME: name, PORT: String(appPort), API: api, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret };
  await startProgram('examples/web-app/app.js', url, settings);
}

async function addTokenApp(url: string, ordersUrl: string): Promise<FastifyInstance> {
  const grant = ['--grant', 'client_credentials', '--audience', audience, '--scope', 'orders:read'];
  const added = await keyturn(['client', 'add', 'One token', ...grant]);
  const [clientId = '', clientSecret = ''] = [added.client_id, added.client_secret];
  const keys = () => keyturn<KeyLife[]>(['keys', 'list']);
  return createTokenApp({ url, issuer, clientId, clientSecret, ordersUrl, keys });
}

let tokenApp: FastifyInstance | undefined;
/** What runs, the last first: the issuer is the first to start and the last to go. */
const programs: ChildProcess[] = [];

let stopping = false;

/** Again is nothing: a terminal and npm both pass Ctrl-C on, to the issuer as well. */
async function stop(code: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  await tokenApp?.close();
  for (const program of programs) {
    if (program.exitCode !== null || program.signalCode !== null) continue;
    const ended = new Promise((done) => program.once('exit', done));
    program.kill('SIGTERM');
    await ended;
  }
  await rm(folder, { recursive: true, force: true });
  process.exit(code);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop(0));

try {
  await startProgram('dist/src/main.js', 'Next, ');
  const api = `http://localhost:${port + 3}`;
  const ordersUrl = `${api}/orders`;
  const tokenUrl = `http://localhost:${port + 4}`;
  await keyturn(['resource', 'add', audience, '--scope', 'orders:read=See your orders']);
  await keyturn(['user', 'add', account.email, '--name', 'Ada Lovelace', '--password-stdin'], `${account.password}\n`);
  await startProgram('examples/api/app.js', api, { PORT: String(port + 3) });
  for (const app of apps) await addApp(app, api);
  tokenApp = await addTokenApp(tokenUrl, ordersUrl);
  await tokenApp.listen({ host: 'localhost', port: port + 4 });
  process.stdout.write(`
Two web apps share one sign-in. Open the first, sign in, then open the second; sign out in either.

  ${apps.map(({ name, url }) => `${name.padEnd(10)} ${url}`).join('\n  ')}
  account    ${account.email}, password: ${account.password}
  issuer     ${issuer} (its own page for the person: ${issuer}/account)
  orders API ${ordersUrl}, which verifies tokens by itself
  one token  ${tokenUrl}: watch its life, its key and all keys; revoke it, and the API refuses it

Ctrl-C ends everything and leaves nothing behind.

`);
} catch (error) {
  process.stderr.write(`keyturn: ${(error as Error).message}\n`);
  await stop(1);
}
