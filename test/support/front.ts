/** A real proxy in front of instances, by the very file that deploy/ has for it, with a certificate of the tests. */
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import https, { type RequestOptions } from 'node:https';
import { join } from 'node:path';
import type { Received, Sent } from './browser.ts';
import { certificates } from './certificates.ts';
import { freePort } from './issuer.ts';
import { eventually, openTemporaryFolder } from './process.ts';
import { type Program, startProgram } from './programs.ts';
import { project } from './project.ts';

/** The authority that the certificate is by: itself. */
export const ca = certificates.one.cert;

export interface Front {
  readonly port: number;
  /** What it has written to standard error and its logs. */
  output(): Promise<string>;
}

/** What a test, or a part of one, is asked for here. */
interface Owner {
  teardown(undo: () => unknown): void;
}

/** The file with what is the test's own in place of what the administrator is to put in; each has to be there. */
async function fill(name: string, own: readonly (readonly [string, string])[]): Promise<string> {
  let text = await readFile(project(`deploy/${name}`), 'utf8');
  for (const [theirs, ours] of own) {
    if (!text.includes(theirs)) throw new Error(`deploy/${name} has no "${theirs}"`);
    text = text.replaceAll(theirs, ours);
  }
  return text;
}

async function prepare(t: Owner) {
  const folder = await openTemporaryFolder(t);
  const [cert, key] = [join(folder, 'fullchain.pem'), join(folder, 'privkey.pem')];
  await writeFile(cert, certificates.one.cert);
  await writeFile(key, certificates.one.key);
  return { folder, cert, key, plain: await freePort() };
}

/** Waits until it answers; an error shows what it has said where it does not. */
async function answers(port: number, program: Program): Promise<void> {
  const asked = eventually(() => ask(port, { path: '/health/live' }).catch(() => undefined));
  await asked.catch(() => Promise.reject(new Error(`the proxy does not answer: ${program.output()}`)));
}

async function startNginx(t: Owner, port: number, [one, other]: Upstreams): Promise<Front> {
  const { folder, cert, key, plain } = await prepare(t);
  const log = join(folder, 'access.log');
  const conf = await fill('nginx.conf', [
    ['10.0.0.11:3000', `127.0.0.1:${one}`],
    ['10.0.0.12:3000', `127.0.0.1:${other}`],
    ['listen 80;', `listen ${plain};`],
    ['listen [::]:80;', ''],
    ['listen 443', `listen ${port}`],
    ['listen [::]:443 ssl http2;', ''],
    ['id.example;', 'localhost;'],
    ['/etc/ssl/id.example/fullchain.pem', cert],
    ['/etc/ssl/id.example/privkey.pem', key],
    ['/var/log/nginx/keyturn.log', log],
  ]);
  await mkdir(join(folder, 'temp'));
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path temp/${kind};`,
  );
  await writeFile(join(folder, 'keyturn.conf'), conf);
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off; pid nginx.pid; error_log stderr; events {} http { ${temporary.join(' ')} include keyturn.conf; }`,
  );
  const program = startProgram(t, 'nginx', ['-e', 'stderr', '-p', folder, '-c', 'nginx.conf'], { stop: 'SIGTERM' });
  await answers(port, program);
  return { port, output: async () => program.output() + (await readFile(log, 'utf8')) };
}

async function startCaddy(t: Owner, port: number, [one, other]: Upstreams): Promise<Front> {
  const { folder, cert, key, plain } = await prepare(t);
  const caddyfile = await fill('Caddyfile', [
    ['10.0.0.11:3000', `127.0.0.1:${one}`],
    ['10.0.0.12:3000', `127.0.0.1:${other}`],
    ['\nid.example {', `\n{\n\tadmin off\n\thttp_port ${plain}\n}\nhttps://localhost:${port} {`],
    ['# tls /etc/ssl/id.example/fullchain.pem /etc/ssl/id.example/privkey.pem', `tls ${cert} ${key}`],
  ]);
  await writeFile(join(folder, 'Caddyfile'), caddyfile);
  const args = ['run', '--config', join(folder, 'Caddyfile'), '--adapter', 'caddyfile'];
  const program = startProgram(t, 'caddy', args, { cwd: folder, env: { HOME: folder } });
  await answers(port, program);
  return { port, output: async () => program.output() };
}

export type Upstreams = readonly [number, number];

/** Starts a proxy by the name of its program, in front of two ports of this machine. */
export const startFront: Readonly<Record<string, (t: Owner, port: number, to: Upstreams) => Promise<Front>>> = {
  nginx: startNginx,
  caddy: startCaddy,
};

export interface Asked extends RequestOptions {
  readonly body?: string;
}

/** Asks it over TLS, on a connection of its own. */
export async function ask(port: number, { body, ...options }: Asked): Promise<Received> {
  const sent = https.request({ host: 'localhost', family: 4, port, ca, agent: false, ...options });
  sent.end(body);
  const [answer] = await once(sent, 'response');
  let html = '';
  for await (const chunk of answer.setEncoding('utf8')) html += chunk;
  return { status: answer.statusCode, headers: answer.headers, setCookies: answer.headers['set-cookie'] ?? [], html };
}

/** How a browser gets there, from an address of this machine. */
export function sendThrough(port: number, localAddress: string, forged: Record<string, string>) {
  return ({ payload, headers, ...sent }: Sent) =>
    ask(port, { ...sent, localAddress, headers: { ...headers, ...forged }, ...(payload && { body: payload }) });
}
