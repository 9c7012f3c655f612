import { execFile } from 'node:child_process';
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { type Test, test } from 'tap';
import { emptyDatabase } from './support/database.ts';
import { openFolder } from './support/embedded.ts';
import { openTemporaryFolder, type ServerProcess, spawnServer } from './support/process.ts';
import { project } from './support/project.ts';
import { execute } from './support/run.ts';

/** The lines that the start message says to type next. */
function linesToType(server: ServerProcess): string[] {
  const [, next = ''] = server.stdout().split('Next, ');
  return next
    .split('\n')
    .filter((line) => line.startsWith('  '))
    .map((line) => line.trim());
}

/** Types a line into a shell, where `npx keyturn` runs this checkout's. */
async function type(t: Test, server: ServerProcess, line: string): Promise<string> {
  const shims = await openTemporaryFolder(t);
  const npx = `#!/bin/sh\n[ "$1" = keyturn ] && shift && exec '${process.execPath}' '${project('scripts/keyturn.js')}' "$@"\n`;
  await writeFile(join(shims, 'npx'), npx);
  await chmod(join(shims, 'npx'), 0o755);
  const env = { ...server.env, PATH: `${shims}:${server.env.PATH}` };
  return (await promisify(execFile)('sh', ['-c', line], { cwd: server.folder, env })).stdout;
}

/** Does what the start message says, and answers the credentials that came of it. */
async function followTheMessage(t: Test, server: ServerProcess): Promise<{ id: string; secret: string }> {
  const [addResource = '', addClient = '', getToken = '', ...more] = linesToType(server);
  t.same(more, [], 'three lines to type');
  await type(t, server, addResource);
  const added = await type(t, server, addClient);
  const id = /^client_id\s+(\S+)$/m.exec(added)?.[1] ?? '';
  const secret = /^client_secret\s+(\S+)$/m.exec(added)?.[1] ?? '';
  const curl = getToken.replace('CLIENT_ID', id).replace('CLIENT_SECRET', secret);
  t.match(curl, `${id}:${secret}`);
  const { access_token, expires_in } = JSON.parse(await type(t, server, curl));
  t.equal(expires_in, 600);
  await verify(t, server, access_token);
  return { id, secret };
}

/** Verifies a token as a service does that knows the issuer's URL and nothing else. */
async function verify(t: Test, { issuer }: ServerProcess, token: string): Promise<void> {
  const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`));
  const { payload, protectedHeader } = await jwtVerify(token, keys, { issuer, audience: 'https://orders.example' });
  t.equal(payload.scope, 'orders:read');
  t.match(protectedHeader, { typ: 'at+jwt', alg: 'ES256' });
}

async function getToken(server: ServerProcess, { id, secret }: { id: string; secret: string }): Promise<string> {
  const body = new URLSearchParams({ grant_type: 'client_credentials' });
  const headers = { authorization: `Basic ${btoa(`${id}:${secret}`)}` };
  const response = await fetch(`${server.issuer}/token`, { method: 'POST', headers, body });
  return ((await response.json()) as { access_token: string }).access_token;
}

async function publishedKids({ issuer }: ServerProcess): Promise<string[]> {
  const response = await fetch(`${issuer}/.well-known/jwks.json`);
  return ((await response.json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
}

/** The key-encryption key that a first start has made in `folder`, by its file name. */
async function onlyKeyEncryptionKey(t: Test, folder: string): Promise<string> {
  const [file = '', ...more] = await readdir(folder);
  t.match(file, /^kek_[a-z2-9]{16}\.key$/);
  t.same(more, []);
  t.equal((await stat(folder)).mode & 0o777, 0o700, 'only its owner may enter the folder');
  t.equal((await stat(join(folder, file))).mode & 0o777, 0o600, 'only its owner may read the file');
  return file;
}

test('with no settings at all it runs on an embedded Postgres, and all is there again after a restart', async (t) => {
  const folder = await openFolder(t);
  const first = await spawnServer(t, { HOST: '' }, { folder });
  t.match(first.stdout(), `issues tokens as ${first.issuer}\n`);
  t.match(first.stdout(), `  listens on  http://127.0.0.1:${first.env.PORT}`);
  t.match(first.stdout(), new RegExp(`  database    embedded Postgres \\d+\\.\\d+ in ${folder}/data/postgres\n`));
  t.match(
    first.stdout(),
    `  keys        ES256 (2 published), RS256 (2 published), sealed with what is in ${folder}/keys\n`,
  );
  const { password } = JSON.parse(await readFile(join(folder, 'data/postgres.json'), 'utf8'));
  t.notMatch(first.stdout() + first.stderr(), password);
  const file = await onlyKeyEncryptionKey(t, join(folder, 'keys'));
  t.equal((await publishedKids(first)).length, 4);

  const client = await followTheMessage(t, first);
  const token = await getToken(first, client);
  const kids = await publishedKids(first);
  first.kill('SIGTERM');
  t.equal((await first.ended).code, 0);

  const { code, stdout, stderr } = await first.keyturn('client', 'list');
  t.same({ code, stdout }, { code: 1, stdout: '' });
  t.equal(stderr, `keyturn: no Keyturn is running on ${folder}/data: run npm start first, or set DATABASE_URL\n`);

  const second = await spawnServer(t, { PORT: first.env.PORT as string }, { folder });
  t.same(await publishedKids(second), kids);
  t.equal(await onlyKeyEncryptionKey(t, join(folder, 'keys')), file);
  await verify(t, second, token);
  await verify(t, second, await getToken(second, client));
});

test('with a DATABASE_URL it runs on that, which it migrates first; .env is read, and the environment wins', async (t) => {
  const { url } = await emptyDatabase(t);
  const folder = await openTemporaryFolder(t);
  const dotenv = [`DATABASE_URL="${url}"`, 'KEYS_DIR=secrets', 'ACCESS_TOKEN_TTL=60', 'LOG_LEVEL=trace'];
  await writeFile(join(folder, '.env'), dotenv.join('\n'));
  const server = await spawnServer(t, { ACCESS_TOKEN_TTL: '600', LOG_LEVEL: 'warn' }, { folder });
  const { hostname, port, pathname, password } = new URL(url);
  t.match(server.stdout(), `  database    "${pathname.slice(1)}" of the Postgres at ${hostname}:${port || 5432}\n`);
  if (password !== '') t.notMatch(server.stdout(), password);
  t.equal(server.stderr(), '', 'nothing to warn of');
  await onlyKeyEncryptionKey(t, join(folder, 'secrets'));
  t.same((await readdir(folder)).sort(), ['.env', 'secrets'], 'no folder for an embedded database');
  const [migrations] = await execute(url, 'SELECT count(*)::int AS count FROM _prisma_migrations');
  t.ok(Number(migrations?.count) > 0);
  await followTheMessage(t, server);
});
