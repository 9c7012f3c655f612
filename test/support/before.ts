/** Runs before all tests: a database server for them, DATABASE_URL's or an embedded one, and the template of their databases. */
import { randomBytes } from 'node:crypto';
import { appendFile, chmod, mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { startEmbeddedPostgres } from '../../src/store/embedded/index.ts';
import { templateOf } from './database.ts';
import { execute, removeRuns, type TestRun, withDatabase, writeRun } from './run.ts';
import { prepareTemplate } from './template.ts';

await removeRuns();
const run = await chooseServer(`keyturn_test_${randomBytes(6).toString('hex')}`);
await writeRun(run);
const template = templateOf(run);
await execute(run.url, `CREATE DATABASE ${template} TEMPLATE template0`);
await prepareTemplate(withDatabase(run.url, template));
// The embedded server shall outlive us, as it would an issuer that was killed; after.ts takes it over and stops it.
process.exit();

async function chooseServer(prefix: string): Promise<TestRun> {
  const url = process.env.DATABASE_URL;
  if (url !== undefined && url !== '') return { url, prefix, folders: [] };

  const dataDir = await mkdtemp(join(tmpdir(), 'keyturn-test-'));
  await chmod(dataDir, 0o755); // as root, Postgres runs as another account, which has to come there
  const embedded = await startEmbeddedPostgres({ dataDir, log: () => {} });
  await neverMindTheDisk(embedded.folder);
  const elsewhere = dirname(embedded.folder);
  return { url: embedded.url, prefix, folders: [...new Set([dataDir, elsewhere])] };
}

/** After a crash nobody needs this server, so it need not wait for the disk. */
async function neverMindTheDisk(folder: string): Promise<void> {
  const settings = ['fsync', 'full_page_writes', 'synchronous_commit'].map((name) => `${name} = off\n`);
  await appendFile(join(folder, 'postgresql.auto.conf'), settings.join(''));
  const [pid] = (await readFile(join(folder, 'postmaster.pid'), 'utf8')).split('\n');
  process.kill(Number(pid), 'SIGHUP');
}
