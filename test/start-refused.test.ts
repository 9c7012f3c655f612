import { once } from 'node:events';
import { chmod, copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { t as file, type Test, test } from 'tap';
import { emptyDatabase, freshDatabase } from './support/database.ts';
import { openTemporaryFolder, type ServerProcess, spawnServer } from './support/process.ts';
import { execute } from './support/run.ts';

const { url } = await emptyDatabase(file);
/** A server that came up, and keeps its port, its database and its key-encryption key. */
const running = await spawnServer(file, { DATABASE_URL: url });
const { password } = new URL(url);

/** The server has ended with this code, saying nothing but these lines, and has made nothing in its folder. */
async function refuses(t: Test, server: ServerProcess, code: number, lines: (string | RegExp)[]): Promise<void> {
  const ended = await server.ended;
  t.equal(ended.code, code);
  t.equal(ended.stdout, '');
  const said = ended.stderr.split('\n').filter((line) => line !== '' && !isAnnouncement(line));
  t.match(said, lines);
  t.equal(said.length, lines.length, ended.stderr);
  if (password !== '') t.notMatch(ended.stderr, password);
}

/** What fastify logs before anything can have gone wrong. */
function isAnnouncement(line: string): boolean {
  return /"msg":"Server listening at /.test(line);
}

async function contents(database: string): Promise<unknown> {
  const tables = ['issuer', 'signing_key', 'resource', 'client', 'change', '_prisma_migrations'];
  return Promise.all(tables.map((table) => execute(database, `SELECT * FROM ${table} ORDER BY 1`)));
}

test('every mistake in the configuration is said at once, and nothing is made', async (t) => {
  const folder = await openTemporaryFolder(t);
  await writeFile(join(folder, '.env'), 'LOG_LEVEL=loud\nACCESS_TOKEN_TTL=5\nthis is no setting\n');
  const server = await spawnServer(
    t,
    {
      ISSUER: 'http://issuer.example',
      PORT: '70000',
      ACCESS_TOKEN_TTL: '1e3',
      DATABASE_URL: 'mysql://keyturn:hunter2@localhost/keyturn',
      KEYTURN_PORT: '3000',
    },
    { folder },
  );
  await refuses(t, server, 2, [
    /^keyturn: \.env: line 3 is neither /,
    /^keyturn: ISSUER: given "http:\/\/issuer\.example" \(http, and the host is not loopback\); allowed: /,
    /^keyturn: PORT: given "70000"; allowed: a whole number from 0 to 65535/,
    /^keyturn: DATABASE_URL: given a value that is not shown \(its scheme is mysql:\); allowed: postgresql:/,
    /^keyturn: LOG_LEVEL: given "loud"; allowed: one of /,
    /^keyturn: ACCESS_TOKEN_TTL: given "1e3"; allowed: /,
    'keyturn: KEYTURN_PORT is not a setting; did you mean PORT?',
  ]);
  t.notMatch(server.stderr(), 'hunter2');
  t.same(await readdir(folder), ['.env']);
});

test('a DATABASE_URL that cannot be right is one line and exit code 1', async (t) => {
  const web = http.createServer((_request, response) => response.end()).listen(0, '127.0.0.1');
  await once(web, 'listening');
  t.teardown(() => web.close());
  const newer = (await freshDatabase(t)).url;
  await execute(
    newer,
    `INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at)
     VALUES ('later', '', '29990101000000_from_the_future', now())`,
  );
  const before = await contents(newer);
  const changed = (change: (url: URL) => void) => {
    const other = new URL(url);
    change(other);
    return other.href;
  };
  const wrongPassword = changed((other) => {
    other.password = 'a-wrong-password';
  });
  const trusting = await execute(wrongPassword, 'SELECT 1')
    .then(() => true)
    .catch(() => false);
  if (trusting) t.comment('SKIPPED: this Postgres takes any password, so no wrong one can be tried');

  const cases: [string, RegExp][] = [
    ...(trusting ? [] : [[wrongPassword, /does not accept the password of user "[^"]+"$/] as [string, RegExp]]),
    [
      changed((other) => {
        other.pathname = '/nonesuch';
      }),
      /^keyturn: Postgres at \S+ has no database "nonesuch"$/,
    ],
    [
      changed((other) => {
        other.port = String((web.address() as AddressInfo).port);
      }),
      /^keyturn: what listens at \S+ is not Postgres$/,
    ],
    [
      newer,
      /is newer than this Keyturn, which does not know its migration 29990101000000_from_the_future: upgrade Keyturn$/,
    ],
  ];
  for (const [databaseUrl, line] of cases) {
    const server = await spawnServer(t, { DATABASE_URL: databaseUrl });
    await refuses(t, server, 1, [line]);
    t.notMatch(server.stderr(), 'a-wrong-password');
    t.same(await readdir(server.folder), [], 'no key-encryption key was made');
  }
  t.same(await contents(newer), before, 'a newer database is not touched');
});

test('a missing key-encryption key is named, and none is made in its place', async (t) => {
  const before = await contents(url);
  const refused = await spawnServer(t, { DATABASE_URL: url });
  const [key = ''] = await readdir(join(running.folder, 'keys'));
  const missing = join(refused.folder, 'keys', key);
  await refuses(t, refused, 1, [
    `keyturn: the key-encryption key ${key.replace('.key', '')} is missing: looked for ${missing}. The signing keys in the database are sealed with it; put the file back (KEYS_DIR names the folder).`,
  ]);
  t.same(await readdir(refused.folder), []);
  t.same(await contents(url), before, 'the database is as it was');

  await mkdir(join(refused.folder, 'keys'));
  await copyFile(join(running.folder, 'keys', key), missing);
  const again = await spawnServer(t, { DATABASE_URL: url }, { folder: refused.folder });
  t.match(again.stdout(), 'ES256 (2 published), RS256 (2 published)', 'and put back, all goes on');
  t.same(await contents(url), before);
});

test('where the database has lost the name of the key that seals, no new one is made', async (t) => {
  const lost = (await freshDatabase(t)).url;
  await execute(
    lost,
    `INSERT INTO signing_key (kid, alg, public_jwk, sealed_private_jwk, created_at, signs_from)
     VALUES ('left', 'ES256', '{}', 'a.b.c.d.e', now(), now())`,
  );
  const before = await contents(lost);
  const server = await spawnServer(t, { DATABASE_URL: lost });
  const line =
    /^keyturn: database "\w+" at \S+ holds sealed signing keys, but no longer says under which key-encryption key: restore /;
  await refuses(t, server, 1, [line]);
  t.same(await readdir(server.folder), []);
  t.same(await contents(lost), before);
});

test('a KEYS_DIR that cannot serve is one line', async (t) => {
  const folder = await openTemporaryFolder(t);
  const garbled = join(folder, 'garbled');
  await mkdir(garbled);
  await writeFile(join(garbled, 'kek_aaaabbbbccccdddd.key'), 'not thirty-two bytes\n');
  await writeFile(join(folder, 'file'), '');
  const closed = join(folder, 'closed');
  await mkdir(closed);
  await chmod(closed, 0o555);
  const nobody = process.getuid?.() === 0 ? { uid: 65534 } : {};
  const empty = (await emptyDatabase(t)).url;

  for (const [keysDir, line, account] of [
    [
      garbled,
      `keyturn: ${garbled}/kek_aaaabbbbccccdddd.key is not a key-encryption key: it must hold 32 bytes in base64url`,
    ],
    [join(folder, 'file'), `keyturn: KEYS_DIR ${folder}/file cannot be read: ENOTDIR`],
    [closed, `keyturn: KEYS_DIR ${closed} does not take a key-encryption key: EACCES`, nobody],
  ] as const) {
    const server = await spawnServer(t, { DATABASE_URL: empty, KEYS_DIR: keysDir }, account);
    await refuses(t, server, 1, [line]);
  }
  t.same(await execute(empty, 'SELECT * FROM signing_key'), []);
  t.same(await execute(empty, 'SELECT * FROM issuer'), []);
});

test('a place to listen on that is taken, or not ours, is one line', async (t) => {
  for (const [settings, line] of [
    [
      { PORT: running.env.PORT as string },
      `keyturn: cannot listen on 127.0.0.1, port ${running.env.PORT} (HOST, PORT): EADDRINUSE: address already in use 127.0.0.1:${running.env.PORT}`,
    ],
    [
      { HOST: '192.0.2.1' },
      /^keyturn: cannot listen on 192\.0\.2\.1, port \d+ \(HOST, PORT\): EADDRNOTAVAIL: address not available 192\.0\.2\.1:\d+$/,
    ],
  ] as const) {
    const server = await spawnServer(t, { DATABASE_URL: url, KEYS_DIR: join(running.folder, 'keys'), ...settings });
    await refuses(t, server, 1, [line]);
  }
  const socket = connect(Number(running.env.PORT), '127.0.0.1');
  await once(socket, 'connect');
  socket.destroy();
});
