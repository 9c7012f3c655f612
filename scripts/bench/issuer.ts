/** The issuer that is measured: the built server as anyone would start it, on a database and keys of its own. */

import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/store/embedded/index.ts';
import { type BenchClient, tokenRequest } from './registration.ts';
import { firstAnswer, type ServerProcess, startServer } from './server-process.ts';

const program = fileURLToPath(new URL('../../src/main.js', import.meta.url));

/** Where an issuer keeps what it keeps, for as long as it is measured. */
export interface IssuerSite {
  /** The `iss` of its tokens. */
  readonly issuer: string;
  readonly port: number;
  readonly folder: string;
  readonly keysDir: string;
  readonly databaseUrl: string;
  /** Starts an instance, on the site's port where no other is given, with settings beside the site's. */
  start(where: 'one core' | 'all cores', port?: number, settings?: Record<string, string>): ServerProcess;
  /** Ends an embedded database: issuers that start from now on bring it up by themselves, as `npm start` does. */
  leaveDatabase(): Promise<void>;
  /** Removes everything; the issuer must have ended. */
  remove(): Promise<void>;
}

/**
 * Makes room for an issuer: on a new database of DATABASE_URL's server, or on an embedded one in a temporary folder, which
 * runs on the cores that this process has now.
 */
export async function createIssuerSite(
  port: number,
  postgres: string | undefined,
  output: number,
): Promise<IssuerSite> {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-bench-'));
  await chmod(folder, 0o755); // as root, Postgres runs as another account, which has to come there
  const issuer = `http://localhost:${port}`;
  const keysDir = join(folder, 'keys');
  const database = await (postgres === undefined ? embedIn(folder, output) : createDatabase(postgres));

  return {
    issuer,
    port,
    folder,
    keysDir,
    databaseUrl: database.url,
    start: (where, ownPort = port, settings = {}) =>
      startServer({
        program,
        port: ownPort,
        where,
        output,
        cwd: folder,
        env: {
          ISSUER: issuer,
          HOST: '127.0.0.1',
          PORT: String(ownPort),
          KEYS_DIR: keysDir,
          TOKEN_RATE: '1000000', // one client asks for all of it
          ...database.settings(),
          ...settings,
        },
      }),
    leaveDatabase: database.leave,
    async remove() {
      await database.remove();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface BenchDatabase {
  readonly url: string;
  /** What an issuer is told of it. */
  settings(): NodeJS.ProcessEnv;
  leave(): Promise<void>;
  remove(): Promise<void>;
}

async function embedIn(folder: string, output: number): Promise<BenchDatabase> {
  const dataDir = join(folder, 'data');
  const embedded = await startEmbeddedPostgres({ dataDir, log: (line) => writeSync(output, `${line}\n`) });
  const { url } = embedded;
  let left = false;
  async function leave(): Promise<void> {
    left = true;
    await embedded.stop();
  }
  return { url, settings: () => (left ? { DATA_DIR: dataDir } : { DATABASE_URL: url }), leave, remove: leave };
}

async function createDatabase(server: string): Promise<BenchDatabase> {
  const name = `keyturn_bench_${randomBytes(6).toString('hex')}`;
  await execute(server, `CREATE DATABASE ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    settings: () => ({ DATABASE_URL: url.href }),
    leave: async () => undefined,
    remove: () => execute(server, `DROP DATABASE ${name} WITH (FORCE)`),
  };
}

/** Seconds from the start of the process, on a database that is there, to its first token; the issuer ends again. */
export async function startToFirstToken(site: IssuerSite, client: BenchClient): Promise<number> {
  const started = performance.now();
  const server = site.start('all cores');
  try {
    await firstAnswer(server, '/token', { method: 'POST', ...tokenRequest(client, 'ES256') });
    return (performance.now() - started) / 1000;
  } finally {
    await server.stop();
  }
}

async function execute(url: string, statement: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  await client.query(statement).finally(() => client.end());
}
