/** What docs/operate.md says to type, as it is written, and the files of deploy/ that have no server of their own in a test. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'tap';
import { emptyDatabase } from './support/database.ts';
import { get, post, registerClient, registerResource, startIssuer, temporaryFolder } from './support/issuer.ts';
import { without } from './support/programs.ts';
import { project } from './support/project.ts';
import { currentRun, execute } from './support/run.ts';

const page = readFileSync(project('docs/operate.md'), 'utf8');

/** The commands of a section, one text for each block. */
function blocksOf(title: string): string[] {
  const [, section = ''] = page.split(`\n## ${title}\n`);
  const [own = ''] = section.split('\n## ');
  return [...own.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text);
}

/** pg_dump refuses a server that is newer than itself. */
async function withoutPgDump(): Promise<string | false> {
  if (without('pg_dump')) return without('pg_dump');
  const own = Number(/\d+/.exec(execFileSync('pg_dump', ['--version'], { encoding: 'utf8' }))?.[0]);
  const [row] = await execute((await currentRun()).url, 'SHOW server_version');
  const server = Number.parseInt(String(row?.server_version), 10);
  return own < server && `NOT TESTED: pg_dump ${own} cannot dump Postgres ${server}`;
}

test('a backup is made and put back by the commands of the page', { skip: await withoutPgDump() }, async (t) => {
  const [dump = '', restore = '', ...others] = blocksOf('Backup and restore');
  t.same(others, []);
  const issuer = await startIssuer(t);
  await registerResource(issuer);
  const { basic } = await registerClient(issuer);
  const folder = await temporaryFolder(t);
  const sh = (commands: string, databaseUrl: string, keysDir: string) => {
    const env = { PATH: process.env.PATH, DATABASE_URL: databaseUrl, KEYS_DIR: keysDir };
    const { status, stderr } = spawnSync('sh', ['-ec', commands], { cwd: folder, env, encoding: 'utf8' });
    t.equal(status, 0, stderr);
  };
  sh(dump, issuer.databaseUrl, issuer.keysDir);
  const { url } = await emptyDatabase(t);
  const keysDir = `${folder}/keys`;
  sh(restore, url, keysDir);
  const restored = await startIssuer(t, { beside: { databaseUrl: url, keysDir } });
  const jwks = '/.well-known/jwks.json';
  t.same((await get(restored, jwks)).json, (await get(issuer, jwks)).json);
  const answer = await post(restored, '/token', 'grant_type=client_credentials', { authorization: basic });
  t.equal(answer.status, 200);
});

test('the unit is one that systemd takes', { skip: without('systemd-analyze') }, async (t) => {
  const args = ['verify', project('deploy/keyturn.service')];
  const { status, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
  // Where Node is elsewhere than on a machine that runs it, that alone is said.
  t.same(
    stderr.split('\n').filter((line) => line !== '' && !/node is not executable/.test(line)),
    [],
  );
  if (stderr === '') t.equal(status, 0);
});

test('the containers are described as Compose wants it', { skip: without('docker-compose') }, async (t) => {
  const args = ['--file', project('docker-compose.yml'), 'config'];
  const env = { PATH: process.env.PATH, HOME: '/nonexistent' };
  const compose = (settings: Record<string, string>) =>
    spawnSync('docker-compose', args, { cwd: '/', env: { ...env, ...settings }, encoding: 'utf8' });
  const { status, stdout, stderr } = compose({ POSTGRES_PASSWORD: 'abc123' });
  t.equal(status, 0, stderr);
  t.match(stdout, 'DATABASE_URL: postgresql://keyturn:abc123@postgres:5432/keyturn');
  t.match(compose({}).stderr, /set POSTGRES_PASSWORD in \.env/, 'there is no password by default');
});
