import { mkdtemp, writeFile } from 'node:fs/promises';
import { request, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { test } from 'tap';
import { readCertificate, watchCertificate } from '../src/http/tls.ts';
import { certificates } from './support/certificates.ts';
import { freshDatabase } from './support/database.ts';
import { freePort } from './support/issuer.ts';
import { launchServer, spawnServer } from './support/process.ts';

const { one, two } = certificates;

async function inFiles({ cert, key }: { cert: string; key: string }) {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-tls-'));
  const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  await writeFile(files.cert, cert);
  await writeFile(files.key, key, { mode: 0o600 });
  return files;
}

interface Answer {
  readonly status: number | undefined;
  readonly hsts: string | undefined;
  readonly fingerprint: string;
  readonly protocol: string | null;
}

/** Asks over TLS, trusting that certificate alone. */
function ask(port: string, path: string, ca: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: 'localhost', port, path, ca, agent: false }, (response) => {
      const socket = response.socket as TLSSocket;
      const { fingerprint256 } = socket.getPeerCertificate();
      const hsts = response.headers['strict-transport-security'];
      resolve({ status: response.statusCode, hsts, fingerprint: fingerprint256, protocol: socket.getProtocol() });
      response.resume();
    });
    sent.on('error', reject).end();
  });
}

test('with a certificate it speaks TLS, and tells browsers to insist on it', async (t) => {
  const { url } = await freshDatabase(t);
  const port = String(await freePort());
  const files = await inFiles(one);
  const env = { DATABASE_URL: url, PORT: port, ISSUER: `https://localhost:${port}` };
  const adminPort = String(await freePort());
  const server = await spawnServer(t, {
    ...{ ...env, TLS_CERT: files.cert, TLS_KEY: files.key },
    ADMIN_PORT: adminPort,
  });
  t.match(server.stdout(), `listens on  https://127.0.0.1:${port}`);
  t.match(server.stdout(), new RegExp(`admin API   https://(127\\.0\\.0\\.1|\\[::1\\]):${adminPort}/openapi\\.json`));
  t.match(await ask(adminPort, '/v1/clients', one.cert), { status: 401 }, 'the admin port too');
  const metadata = await ask(port, '/.well-known/openid-configuration', one.cert);
  t.match(metadata, { status: 200, hsts: undefined, protocol: /^TLSv1\.[23]$/ });
  t.match(await ask(port, '/account', one.cert), { status: 200, hsts: 'max-age=31536000' });
  await t.rejects(ask(port, '/health/live', two.cert), 'nobody else’s certificate will do');
  await t.rejects(fetch(`http://localhost:${port}/health/live`), 'nor plain HTTP');
});

test('another certificate in the files is in force without a restart; one that does not serve is not', async (t) => {
  const { createServer } = await import('node:https');
  const files = await inFiles(one);
  const first = await readCertificate(files);
  const server: Server = createServer(first, (_request, response) => response.end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const log: string[] = [];
  const note = (said: unknown) => void log.push(String(said));
  const watch = watchCertificate(server, files, first, { info: note, error: note });
  t.teardown(() => {
    watch.stop();
    server.close();
  });
  const port = String((server.address() as { port: number }).port);
  const before = await ask(port, '/', one.cert);

  await writeFile(files.cert, two.cert);
  await watch.look();
  await watch.look();
  t.match(log, [/do not belong together; the one before stays in force$/], 'half a change is none, and is said once');
  t.equal((await ask(port, '/', one.cert)).fingerprint, before.fingerprint);

  await writeFile(files.key, two.key);
  await watch.look();
  t.not((await ask(port, '/', two.cert)).fingerprint, before.fingerprint);
  t.equal(log.at(-1), 'another certificate is in force');
});

test('a certificate that does not serve is one line and exit code 1; half of the settings, exit code 2', async (t) => {
  const good = await inFiles(one);
  const other = await inFiles(two);
  const garbage = await inFiles({ cert: 'not PEM', key: 'either' });
  const https = { ISSUER: 'https://id.example', DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none' };
  for (const [settings, code, says] of [
    [{ ...https, TLS_CERT: good.cert, TLS_KEY: other.key }, 1, /do not serve: they do not belong together/],
    [{ ...https, TLS_CERT: garbage.cert, TLS_KEY: garbage.key }, 1, /do not serve: they are not PEM/],
    [{ ...https, TLS_CERT: '/nowhere.pem', TLS_KEY: good.key }, 1, /TLS_CERT \/nowhere\.pem cannot be read: ENOENT/],
    [{ ...https, TLS_CERT: good.cert }, 2, /TLS_KEY: given nothing; TLS_CERT and TLS_KEY go together/],
    [{ TLS_CERT: good.cert, TLS_KEY: good.key }, 2, /ISSUER: given "http:.*TLS_CERT is set, so it is an https URL/],
  ] as const) {
    const ended = await (await launchServer(t, settings)).ended;
    t.equal(ended.code, code, ended.stderr);
    t.match(ended.stderr, says);
    t.notMatch(ended.stderr, /PRIVATE KEY|\n {4}at /);
  }
});
