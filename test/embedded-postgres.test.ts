import { spawn } from 'node:child_process';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { test } from 'tap';
import { EmbeddedPostgresError, findEmbeddedPostgres, startEmbeddedPostgres } from '../src/store/embedded/index.ts';
import { openFolder, preparedFolder, readPid, spawnIssuer, startIssuer, until } from './support/embedded.ts';
import { execute } from './support/run.ts';

const log = () => {};

test('the first start makes a database that is durable, reachable from here alone, and no superuser’s', async (t) => {
  const dataDir = await openFolder(t);
  t.equal(await findEmbeddedPostgres(dataDir), undefined, 'nothing runs yet');
  const { url, folder, version, stop } = await startEmbeddedPostgres({ dataDir, log });

  t.equal(folder, join(dataDir, 'postgres'));
  t.equal(await findEmbeddedPostgres(dataDir), url, 'a program beside finds it');
  const [row] = await execute(
    url,
    `SELECT current_user, current_database(), rolsuper, pg_get_userbyid(datdba) AS owner,
            pg_encoding_to_char(encoding) AS encoding, datcollate, current_setting('TimeZone') AS timezone,
            current_setting('listen_addresses') AS addresses, current_setting('server_version') AS version,
            current_setting('fsync') || current_setting('synchronous_commit') AS durable
     FROM pg_database, pg_roles WHERE datname = current_database() AND rolname = current_user`,
  );
  t.match(row, {
    current_user: 'keyturn',
    current_database: 'keyturn',
    rolsuper: false,
    owner: 'keyturn',
    encoding: 'UTF8',
    datcollate: 'C',
    timezone: 'UTC',
    addresses: '127.0.0.1',
    version,
    durable: 'onon',
  });

  const record = join(dataDir, 'postgres.json');
  t.equal((await stat(record)).mode & 0o777, 0o600);
  t.equal(Buffer.from(JSON.parse(await readFile(record, 'utf8')).password, 'base64url').length, 32);
  await t.rejects(execute(url.replace(/:[^:@]+@/, ':wrong@'), 'SELECT 1'), { code: '28P01' });
  await t.rejects(execute(url.replace('keyturn:', 'postgres:'), 'SELECT 1'), { code: '28000' });

  await execute(url, 'CREATE TABLE kept AS SELECT 1 AS here');
  await stop();
  t.equal(await findEmbeddedPostgres(dataDir), undefined, 'and is gone after stop');
  const again = await startEmbeddedPostgres({ dataDir, log });
  t.same(await execute(again.url, 'SELECT here FROM kept'), [{ here: 1 }]);
  await again.stop();
  t.same((await readdir(dataDir)).sort(), ['postgres', 'postgres.json', 'postgres.log']);
});

test('a second issuer on the same folder refuses in one line', async (t) => {
  const dataDir = await preparedFolder(t);
  const first = await startIssuer(dataDir);
  const refusal = await startEmbeddedPostgres({ dataDir, log }).catch((error) => error);
  t.ok(refusal instanceof EmbeddedPostgresError);
  t.equal(refusal.message, `another Keyturn is running on ${dataDir}`);
  t.equal(await findEmbeddedPostgres(dataDir), first.said.url, 'and the first one’s database still runs');
  t.equal(await first.end('SIGTERM'), 0);
});

test('of several first starts at the same moment exactly one wins, and its database is whole', async (t) => {
  const dataDir = await openFolder(t);
  const starts = [1, 2, 3].map(() => spawnIssuer(dataDir));
  const said = await Promise.all(starts.map((start) => start.said));
  t.same(
    said.filter(({ url }) => url === undefined).map(({ error }) => error),
    [`another Keyturn is running on ${dataDir}`, `another Keyturn is running on ${dataDir}`],
  );
  const winner = said.findIndex(({ url }) => url !== undefined);
  t.match(await execute(said[winner]?.url ?? '', 'SELECT current_user'), [{ current_user: 'keyturn' }]);
  const exit = new Promise((resolve) => starts[winner]?.child.once('exit', resolve));
  starts[winner]?.child.kill('SIGTERM');
  t.equal(await exit, 0);
});

test('a server whose issuer was killed is taken over, with all that was committed, and can be stopped', async (t) => {
  const dataDir = await preparedFolder(t);
  const killed = await startIssuer(dataDir);
  await execute(killed.said.url ?? '', 'CREATE TABLE kept AS SELECT 1 AS here');
  await killed.end('SIGKILL');
  t.equal(await findEmbeddedPostgres(dataDir), killed.said.url, 'the server is still there');

  const { url, stop } = await startEmbeddedPostgres({ dataDir, log });
  t.equal(url, killed.said.url);
  t.same(await execute(url, 'SELECT here FROM kept'), [{ here: 1 }]);
  await stop();
  await t.rejects(execute(url, 'SELECT 1'), { code: 'ECONNREFUSED' });
});

test('a kill at any moment of the first start does not stop the next', async (t) => {
  const moments: Record<string, (names: string[]) => boolean> = {
    'the password is recorded': (names) => names.includes('postgres.json'),
    'the cluster is begun': (names) => names.some((name) => name.startsWith('postgres.new-')),
    'the cluster is there': (names) => names.includes('postgres'),
    'the server is launched': (names) => names.some((name) => name.startsWith('postgres.log')),
  };
  for (const [moment, reached] of Object.entries(moments)) {
    const dataDir = await openFolder(t);
    const { child } = spawnIssuer(dataDir);
    const exit = new Promise((resolve) => child.once('exit', resolve));
    await until(async () => reached(await readdir(dataDir)));
    child.kill('SIGKILL');
    await exit;
    const { url, stop } = await startEmbeddedPostgres({ dataDir, log });
    t.match(await execute(url, 'SELECT current_user'), [{ current_user: 'keyturn' }], `killed when ${moment}`);
    await stop();
    t.same(
      (await readdir(dataDir)).filter((name) => name.startsWith('postgres.new-')),
      [],
      'nothing half-made stays',
    );
  }
});

test('a Ctrl-C reaches the issuer and not its database', async (t) => {
  const dataDir = await preparedFolder(t);
  const issuer = await startIssuer(dataDir);
  const exit = new Promise((resolve) => issuer.process.once('exit', (_code, signal) => resolve(signal)));
  process.kill(-(issuer.process.pid ?? 0), 'SIGINT'); // the whole group, as a terminal does
  t.equal(await exit, 'SIGINT');
  t.match(await execute(issuer.said.url ?? '', 'SELECT 1 AS alive'), [{ alive: 1 }]);
});

test('a leftover postmaster.pid does not block, though its number is another program’s by now', async (t) => {
  const dataDir = await preparedFolder(t);
  const { folder, stop } = await startEmbeddedPostgres({ dataDir, log });
  const { pid, text } = await readPid(folder);
  await stop();
  const { uid, gid } = await stat(folder);
  const other = spawn('sleep', ['60'], process.getuid?.() === 0 ? { uid, gid } : {});
  t.teardown(() => {
    other.kill();
  });
  await writeFile(join(folder, 'postmaster.pid'), text.replace(String(pid), String(other.pid)));

  t.equal(await findEmbeddedPostgres(dataDir), undefined);
  const again = await startEmbeddedPostgres({ dataDir, log });
  t.match(await execute(again.url, 'SELECT 1 AS alive'), [{ alive: 1 }]);
  await again.stop();
});

test('it is told when the server dies by itself, and the next start recovers', async (t) => {
  const dataDir = await preparedFolder(t);
  const { url, folder, exited } = await startEmbeddedPostgres({ dataDir, log });
  await execute(url, 'CREATE TABLE kept AS SELECT 1 AS here');
  process.kill((await readPid(folder)).pid, 'SIGKILL');
  t.equal(await exited, `the embedded Postgres has stopped by itself; see ${join(dataDir, 'postgres.log')}`);

  const again = await startEmbeddedPostgres({ dataDir, log });
  t.same(await execute(again.url, 'SELECT here FROM kept'), [{ here: 1 }]);
  await again.stop();
});

test('the folder stays ours though the connection that holds it breaks', async (t) => {
  const dataDir = await preparedFolder(t);
  const { url, stop } = await startEmbeddedPostgres({ dataDir, log });
  const observer = new Client(url);
  await observer.connect();
  const holders = async () =>
    (await observer.query("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted")).rows;
  const [before] = await holders();
  await observer.query('SELECT pg_terminate_backend($1)', [before.pid]);
  await until(async () => {
    const [now] = await holders();
    return now !== undefined && now.pid !== before.pid;
  });
  await observer.end();
  await t.rejects(startEmbeddedPostgres({ dataDir, log }), { message: `another Keyturn is running on ${dataDir}` });
  await stop();
});

test('a start while another issuer is stopping waits and then runs', async (t) => {
  const dataDir = await preparedFolder(t);
  const first = await startEmbeddedPostgres({ dataDir, log });
  const [, second] = await Promise.all([first.stop(), startEmbeddedPostgres({ dataDir, log })]);
  t.match(await execute(second.url, 'SELECT 1 AS alive'), [{ alive: 1 }]);
  await second.stop();
});

test('a lost or damaged folder is never taken for a first start', async (t) => {
  const dataDir = await preparedFolder(t);
  const { folder, stop } = await startEmbeddedPostgres({ dataDir, log });
  await stop();
  await rm(folder, { recursive: true });
  await t.rejects(startEmbeddedPostgres({ dataDir, log }), { message: /^the database in .* is gone: put it back, or/ });
  await writeFile(join(dataDir, 'postgres.json'), '{');
  await t.rejects(startEmbeddedPostgres({ dataDir, log }), { message: /postgres\.json is damaged/ });
  await t.rejects(findEmbeddedPostgres(dataDir), EmbeddedPostgresError);
});
