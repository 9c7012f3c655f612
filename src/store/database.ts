/** Owns the connections to Postgres: one pool, which Prisma and hand-written SQL share. Knows no table. */
import { AsyncResource } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import type { Actor } from './audit-event.ts';
import { type DatabaseAddress, DatabaseError, place } from './database-errors.ts';
import { PrismaClient } from './generated/client.ts';

/** How long work may take before it fails as if the database were away, in milliseconds. */
export interface Patience {
  /** Until a connection is there, from the pool as from the network. */
  readonly connection: number;
  /** One statement, with all its waiting for locks. */
  readonly statement: number;
  /** A whole transaction. */
  readonly transaction: number;
}

/** Of an administrator, who waits for one thing. */
const patient: Patience = { connection: 5_000, statement: 10_000, transaction: 30_000 };

/** Of a server, which others wait for: they get an answer within a few seconds, and what is behind them its turn. */
export const impatient: Patience = { connection: 2_000, statement: 3_000, transaction: 5_000 };

/** Milliseconds that the server's own limit has to arrive in: past them it has vanished without a word. */
const grace = 1_000;

/** The oldest Postgres that Keyturn runs on, as `server_version_num` says it. */
const oldestVersion = 130_000;

export interface Database {
  /** For everything that is not hot. Its statements are prepared, like those of `query`. */
  readonly prisma: PrismaClient;
  /** For what `query` does not do: a client of one's own, a statement under a name of one's own. */
  readonly pool: pg.Pool;
  readonly address: DatabaseAddress;
  readonly patience: Patience;
  /** Who acts by it, where nobody else is known. */
  readonly actor: Actor;
  /**
   * Runs one statement and answers its rows. It is prepared once on each connection, so `text` must be constant and
   * what varies belongs in `values`. `bigint` comes as a string, `timestamptz` as a Date.
   */
  query<Row extends pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /** A client of the same database outside the pool, not yet connected (LISTEN). Who makes it handles its errors and ends it. */
  newClient(): pg.Client;
  /** Drops connections that nobody uses: after an outage they may be dead without a word, and cost a time-out each. */
  dropIdle(): void;
  /** Waits for statements under way, then closes every connection of the pool. Again is no error. */
  close(): Promise<void>;
}

export interface DatabaseOptions {
  /** Told the text of every statement before it is sent, Prisma's too; not the one that sets up a new connection. */
  onStatement?: (text: string) => void;
  /** The same, and what it answers is told when the statement has been answered, with the error where it failed. */
  traceStatement?: (text: string) => (error?: unknown) => void;
  /** Who acts by it; the issuer itself where not given. */
  actor?: string;
  /** 10 where not given. */
  maxConnections?: number;
  /** An administrator's where not given. */
  patience?: Patience;
  /** Asked before a connection is taken: while the database is known to be away, nobody waits for one. */
  isAway?: () => boolean;
}

/**
 * Makes ready to use a database; connects only when first asked something. Throws a `DatabaseError` of kind
 * `configuration` where the URL (or a certificate file it names) cannot be read.
 */
export function openDatabase(url: string, options: DatabaseOptions = {}): Database {
  const { onStatement, traceStatement, patience = patient } = options;
  const config: pg.ClientConfig = {
    connectionString: url,
    application_name: 'keyturn',
    connectionTimeoutMillis: patience.connection,
    query_timeout: patience.statement + grace,
    keepAlive: true,
  };
  const address = addressOf(config);
  const schema = new URLSearchParams(url.split('?')[1]).get('schema') ?? 'public';

  const pool = new pg.Pool({
    ...config,
    Client,
    max: options.maxConnections ?? 10,
    onConnect: (client) => setUp(client, { schema, address, patience }),
  });
  if (options.isAway !== undefined) refuseWhile(pool, options.isAway, address);
  if (traceStatement !== undefined) keepContext(pool);
  // A connection that breaks while nobody uses it is replaced by the pool, and one in use fails its statement as well:
  // there is nothing to do here, but unheard 'error' events would end the process.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => {
    client.on('error', () => undefined);
    if (onStatement !== undefined) reportStatements(client, onStatement);
    if (traceStatement !== undefined) traceStatements(client, traceStatement);
  });

  const idle = new Set<pg.ClientBase>();
  pool.on('release', (_error, client) => idle.add(client));
  pool.on('acquire', (client) => idle.delete(client));
  pool.on('remove', (client) => idle.delete(client));

  const nameOf = statementNames();
  const prisma = new PrismaClient({
    adapter: new PrismaPg(pool, { schema, statementNameGenerator: ({ sql }) => nameOf(sql) }),
  });
  let closed: Promise<void> | undefined;

  return {
    prisma,
    pool,
    address,
    patience,
    actor: { actor: options.actor ?? 'issuer', address: null },
    async query<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []) {
      const { rows } = await pool.query<Row>({ name: nameOf(text), text, values: [...values] });
      return rows;
    },
    newClient() {
      const client = new Client(config);
      if (onStatement !== undefined) reportStatements(client, onStatement);
      return client;
    },
    dropIdle() {
      for (const client of idle) (client as Client).hangUp();
    },
    close() {
      closed ??= prisma.$disconnect().then(() => pool.end());
      return closed;
    },
  };
}

/** The same database, with somebody else who acts by it. */
export function actingAs(database: Database, actor: Actor): Database {
  return { ...database, actor };
}

/** A client that lets go of its socket when it gives up, where `pg` would wait for the server to hang up. */
class Client extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super(config);
    this.connection.on('error', () => this.hangUp());
    const send = this.query.bind(this) as (...sent: unknown[]) => unknown;
    this.query = ((...sent: unknown[]) => {
      const sending = send(...sent);
      if (sending instanceof Promise) sending.catch((error: Error) => this.#giveUp(error));
      return sending;
    }) as typeof this.query;
  }

  /** Else what comes next, a ROLLBACK, would wait behind the statement that is not answered. */
  #giveUp({ message }: Error): void {
    if (message === 'Query read timeout') this.hangUp();
  }

  hangUp(): void {
    this.connection.stream.destroy();
  }
}

/** Rejects whoever wants a connection while the database is away. All ways to one, Prisma's too, lead through `connect`. */
function refuseWhile(pool: pg.Pool, isAway: () => boolean, address: DatabaseAddress): void {
  const connect = pool.connect.bind(pool) as (callback?: (error: Error) => void) => unknown;
  pool.connect = ((callback?: (error: Error) => void) => {
    if (!isAway()) return connect(callback);
    const error = new DatabaseError('unavailable', `Postgres at ${place(address)} has not answered of late`);
    return callback === undefined ? Promise.reject(error) : void setImmediate(callback, error);
  }) as typeof pool.connect;
}

function addressOf(config: pg.ClientConfig): DatabaseAddress {
  try {
    const { host, port, database = '', user = '' } = new pg.Client(config);
    return { host, port, database, user };
  } catch (error) {
    throw new DatabaseError('configuration', `the database URL cannot be read: ${(error as Error).message}`);
  }
}

/**
 * What every connection of the pool must have, in one round trip. By statement, not by start-up parameters, which
 * poolers refuse. UTC because Prisma's adapter writes timestamps without a zone and takes what it reads for UTC; the
 * search path so that hand-written SQL and Prisma, which names the schema, mean the same tables.
 */
async function setUp(
  client: pg.ClientBase,
  { schema, address, patience }: { schema: string; address: DatabaseAddress; patience: Patience },
): Promise<void> {
  const { rows } = await client.query<{ version: number; name: string }>(
    `SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS name,
            set_config('TimeZone', 'UTC', false),
            set_config('search_path', quote_ident($1), false),
            set_config('statement_timeout', $2, false),
            set_config('idle_in_transaction_session_timeout', '30s', false)`,
    [schema, `${patience.statement}ms`],
  );
  const [server] = rows;
  if (server === undefined || server.version < oldestVersion) {
    throw new DatabaseError(
      'configuration',
      `Postgres at ${place(address)} is version ${server?.name}; Keyturn needs ${oldestVersion / 10_000} or newer`,
    );
  }
}

function reportStatements(client: pg.ClientBase, onStatement: (text: string) => void): void {
  const send = client.query.bind(client) as (...sent: unknown[]) => unknown;
  client.query = ((...sent: unknown[]) => {
    const [statement] = sent as [string | { text: string }];
    onStatement(typeof statement === 'string' ? statement : statement.text);
    return send(...sent);
  }) as typeof client.query;
}

/** Whoever waits for a connection gets it by the hand of another: without this, in the other's asynchronous context. */
function keepContext(pool: pg.Pool): void {
  const connect = pool.connect.bind(pool) as (callback?: (...given: unknown[]) => void) => unknown;
  pool.connect = ((callback?: (...given: unknown[]) => void) =>
    connect(callback && AsyncResource.bind(callback))) as typeof pool.connect;
}

function traceStatements(client: pg.ClientBase, traceStatement: (text: string) => (error?: unknown) => void): void {
  const send = client.query.bind(client) as (...sent: unknown[]) => unknown;
  client.query = ((...sent: unknown[]) => {
    const [statement] = sent as [string | { text: string }];
    const answered = traceStatement(typeof statement === 'string' ? statement : statement.text);
    const callback = sent.at(-1);
    if (typeof callback === 'function') {
      return send(...sent.slice(0, -1), (error: unknown, ...rest: unknown[]) => {
        answered(error);
        callback(error, ...rest);
      });
    }
    const sending = send(...sent);
    if (sending instanceof Promise) sending.then(() => answered(), answered);
    return sending;
  }) as typeof client.query;
}

/**
 * Names under which statements are prepared: of one text always the same, also in another process, as a pooler may
 * hand both the same connection. Past a thousand texts the rest are not prepared (an empty name), because a connection
 * keeps every statement it has prepared.
 */
function statementNames(): (text: string) => string {
  const names = new Map<string, string>();
  return (text) => {
    let name = names.get(text);
    if (name === undefined) {
      if (names.size >= 1_000) return '';
      name = `k_${createHash('sha256').update(text).digest('base64url')}`;
      names.set(text, name);
    }
    return name;
  };
}
