/** The issuer that is measured: the built server as anyone would start it, on a database and keys of its own. */

import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { digestSecret, newId, newSecret } from '../../src/crypto/handle.ts';
import { clientDefaults } from '../../src/protocol/client.ts';
import { addClient } from '../../src/store/client.ts';
import { openDatabase } from '../../src/store/database.ts';
import { findEmbeddedPostgres } from '../../src/store/embedded/index.ts';
import { addResource } from '../../src/store/resource.ts';
import { firstAnswer, type ServerProcess, startServer } from './server-process.ts';

const program = fileURLToPath(new URL('../../src/main.js', import.meta.url));

/** Where an issuer keeps what it keeps, for as long as it is measured. */
export interface IssuerSite {
  /** The `iss` of its tokens. */
  readonly issuer: string;
  readonly folder: string;
  start(where: 'one core' | 'all cores'): ServerProcess;
  /** URL of its database. Asks for a running issuer where that is the embedded one. */
  databaseUrl(): Promise<string>;
  /** Removes everything; the issuer must have ended. */
  remove(): Promise<void>;
}

/** Makes room for an issuer: on a new database of DATABASE_URL's server, or on an embedded one in a temporary folder. */
export async function createIssuerSite(
  port: number,
  postgres: string | undefined,
  output: number,
): Promise<IssuerSite> {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-bench-'));
  await chmod(folder, 0o755); // as root, Postgres runs as another account, which has to come there
  const name = `keyturn_bench_${randomBytes(6).toString('hex')}`;
  const issuer = `http://localhost:${port}`;
  const dataDir = join(folder, 'data');
  if (postgres !== undefined) await execute(postgres, `CREATE DATABASE ${name}`);

  return {
    issuer,
    folder,
    start: (where) =>
      startServer({
        program,
        port,
        where,
        output,
        cwd: folder,
        env: {
          ISSUER: issuer,
          HOST: '127.0.0.1',
          PORT: String(port),
          KEYS_DIR: join(folder, 'keys'),
          ...(postgres === undefined ? { DATA_DIR: dataDir } : { DATABASE_URL: databaseOn(postgres, name) }),
        },
      }),
    async databaseUrl() {
      const url = postgres === undefined ? await findEmbeddedPostgres(dataDir) : databaseOn(postgres, name);
      if (url === undefined) throw new Error('the embedded database does not run');
      return url;
    },
    async remove() {
      if (postgres !== undefined) await execute(postgres, `DROP DATABASE ${name} WITH (FORCE)`);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A client that may ask for tokens, and the audiences of its ES256 and RS256 tokens. */
export interface BenchClient {
  readonly id: string;
  readonly secret: string;
  readonly audiences: { readonly ES256: string; readonly RS256: string };
  readonly scope: string;
}

/** Registers resource services and a client. A running issuer knows them within a second. */
export async function registerClient(databaseUrl: string): Promise<BenchClient> {
  const secret = newSecret('kt');
  const scope = 'orders:read';
  const audiences = { ES256: 'https://orders.example', RS256: 'https://reports.example' };
  const database = openDatabase(databaseUrl);
  try {
    for (const alg of ['ES256', 'RS256'] as const) {
      const resource = { identifier: audiences[alg], scopes: { [scope]: '' }, alg, accessTtl: null };
      if (!(await addResource(database, resource))) throw new Error(`${audiences[alg]} is already there`);
    }
    const client = {
      ...clientDefaults,
      id: newId('client'),
      name: 'bench',
      secretDigests: [digestSecret(secret)],
      grantTypes: ['client_credentials'],
      scopes: [scope],
      resources: Object.values(audiences),
    };
    await addClient(database, client);
    return { id: client.id, secret, audiences, scope };
  } finally {
    await database.close();
  }
}

/** The headers and the form of a token request. */
export function tokenRequest(
  client: BenchClient,
  alg: 'ES256' | 'RS256',
): { headers: Record<string, string>; body: string } {
  const form = { grant_type: 'client_credentials', ...(alg === 'RS256' && { resource: client.audiences.RS256 }) };
  return {
    headers: {
      authorization: `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams(form).toString(),
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

function databaseOn(server: string, name: string): string {
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}
