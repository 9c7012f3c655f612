/** An issuer in this process, on a database of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import type { Test } from 'tap';
import { type App, createApp } from '../../src/app.ts';
import type { Clock } from '../../src/clock.ts';
import { readConfig } from '../../src/config.ts';
import { digestSecret, newId, newSecret } from '../../src/crypto/handle.ts';
import { type Client, clientDefaults, type Resource } from '../../src/protocol/client.ts';
import { changing } from '../../src/store/change.ts';
import { addClient, type ClientChange, changeClient } from '../../src/store/client.ts';
import { type Database, openDatabase } from '../../src/store/database.ts';
import { addResource } from '../../src/store/resource.ts';
import { freshDatabase } from './database.ts';
import './rsa-keys.ts';
import { project } from './project.ts';

export interface TestIssuer {
  readonly app: App;
  /** What clients call it, and where it listens if it was asked to. */
  readonly issuer: string;
  readonly databaseUrl: string;
  readonly keysDir: string;
  /** A second way into the database, as the command line has one. */
  readonly database: Database;
  /** Every statement that the issuer has sent to Postgres. */
  readonly statements: string[];
  /** Every line that it has logged. */
  readonly log: Record<string, unknown>[];
}

export interface TestIssuerOptions {
  /** Environment variables, by their names. */
  settings?: Record<string, string>;
  clock?: Clock;
  /** Milliseconds, in place of the process clock. */
  wallClock?: () => number;
  /** Listen on a real socket; `issuer` is then where. */
  listen?: boolean;
  /** Another instance on the database and keys of this one. */
  beside?: Pick<TestIssuer, 'databaseUrl' | 'keysDir'>;
}

/** Starts an issuer that ends with the test. */
export async function startIssuer(t: Test, options: TestIssuerOptions = {}): Promise<TestIssuer> {
  const databaseUrl = options.beside?.databaseUrl ?? (await freshDatabase(t)).url;
  const keysDir = options.beside?.keysDir ?? (await temporaryFolder(t));
  const port = options.listen ? await freePort() : 3000;
  const settings = { ISSUER: `http://localhost:${port}`, HOST: '127.0.0.1', PORT: String(port), KEYS_DIR: keysDir };
  // One client may ask for all that a test can.
  const defaults = { ...settings, LOG_LEVEL: 'debug', TOKEN_RATE: '1000000' };
  const result = readConfig({ ...defaults, ...options.settings }, { cwd: keysDir });
  if (!result.ok) throw new Error(result.mistakes.join('\n'));

  const statements: string[] = [];
  const log: Record<string, unknown>[] = [];
  const app = await createApp({
    config: result.config,
    databaseUrl,
    log: pino({ level: result.config.logLevel }, collect(log)),
    version: 'test',
    migrations: project('prisma/migrations'),
    onStatement: (text) => statements.push(text),
    ...(options.clock && { clock: options.clock }),
    ...(options.wallClock && { wallClock: options.wallClock }),
  });
  const database = openDatabase(databaseUrl, { maxConnections: 2 });
  t.teardown(async () => {
    await app.close();
    await database.close();
  });
  await app.start();
  if (options.listen) await app.server.listen({ host: '127.0.0.1', port });
  return { app, issuer: result.config.issuer, databaseUrl, keysDir, database, statements, log };
}

/** Statements that an issuer sends by itself every now and then, whatever is asked of it. */
export const background = /change_id_seq|FROM change\b|\binstance\b|\bctid\b|\blogout_delivery\b|LISTEN/;

export const orders: Resource = {
  identifier: 'https://orders.example',
  scopes: { 'orders:read': 'See your orders', 'orders:write': '' },
  alg: 'ES256',
  accessTtl: null,
};

/** Adds a resource service by the way that the command line takes. */
export async function registerResource(issuer: TestIssuer, values: Partial<Resource> = {}): Promise<Resource> {
  const resource = { ...orders, ...values };
  await addResource(issuer.database, resource);
  await issuer.app.refresh();
  return resource;
}

/** Adds a client; by default one that may have all of `orders`. */
export async function registerClient(
  issuer: TestIssuer,
  values: Partial<Client> = {},
): Promise<{ id: string; secret: string; basic: string }> {
  const secret = newSecret('ktcs');
  const client: Client = {
    ...clientDefaults,
    id: newId('client'),
    name: 'billing',
    secretDigests: [digestSecret(secret)],
    grantTypes: ['client_credentials'],
    scopes: Object.keys(orders.scopes),
    resources: [orders.identifier],
    ...values,
  };
  await addClient(issuer.database, client);
  await issuer.app.refresh();
  return { id: client.id, secret, basic: basic(client.id, secret) };
}

/** Changes a client, as an administrator would whose change ends nothing. */
export async function updateClient(
  database: Database,
  id: string,
  decide: (client: Client) => Promise<ClientChange>,
): Promise<void> {
  await changing(database, (tx, changed) => changeClient(tx, changed, id, decide));
}

/** The value of an Authorization header (RFC 6749 §2.3.1). */
export function basic(id: string, secret: string): string {
  const encoded = [id, secret].map((part) => encodeURIComponent(part).replaceAll('%20', '+')).join(':');
  return `Basic ${Buffer.from(encoded).toString('base64')}`;
}

/** What came back from an endpoint. */
export interface Answer {
  status: number;
  headers: Record<string, string | string[] | number | undefined>;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
  json: any;
  text: string;
}

/** Sends a form to an endpoint, without a socket. */
export async function post(
  issuer: TestIssuer,
  path: string,
  form: Record<string, string> | string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await issuer.app.server.inject({
    method: 'POST',
    url: path,
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    payload: typeof form === 'string' ? form : new URLSearchParams(form).toString(),
  });
  return toAnswer(response);
}

/** Asks an endpoint, without a socket. */
export async function get(issuer: TestIssuer, path: string, headers: Record<string, string> = {}): Promise<Answer> {
  return toAnswer(await issuer.app.server.inject({ method: 'GET', url: path, headers }));
}

function toAnswer(response: { statusCode: number; headers: Answer['headers']; payload: string }): Answer {
  const { statusCode, headers, payload } = response;
  const isJson = /json/.test(String(headers['content-type']));
  return { status: statusCode, headers, text: payload, json: isJson ? JSON.parse(payload) : undefined };
}

/** A folder that goes with the test. */
export async function temporaryFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A port that nobody listens on now. */
export async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function collect(lines: Record<string, unknown>[]): Writable {
  return new Writable({
    write(chunk, _encoding, done) {
      lines.push(JSON.parse(String(chunk)));
      done();
    },
  });
}
