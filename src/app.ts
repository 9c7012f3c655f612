/**
 * The composition root: makes every service once and passes it on. Knows all rooms and decides nothing that one of
 * them could.
 */
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { type Clock, createClock } from './clock.ts';
import type { Config } from './config.ts';
import { newId } from './crypto/handle.ts';
import { createClientAuthenticator } from './http/client-authentication.ts';
import { healthEndpoints } from './http/endpoints/health.ts';
import { jwksEndpoint } from './http/endpoints/jwks.ts';
import { metadataEndpoints } from './http/endpoints/metadata.ts';
import { tokenEndpoint } from './http/endpoints/token.ts';
import { createServer } from './http/server.ts';
import { readKeyEncryptionKeys } from './keys/key-encryption-keys.ts';
import { createKeyring, type Keyring } from './keys/keyring.ts';
import { scheduleOf } from './keys/lifecycle.ts';
import { createRotator } from './keys/rotator.ts';
import { createReplica } from './replica.ts';
import { openDatabase } from './store/database.ts';
import type { DatabaseAddress } from './store/database-errors.ts';
import { createRegistry } from './store/registry.ts';
import { createMint } from './tokens/mint.ts';

export interface AppOptions {
  readonly config: Config;
  /** Where Postgres is: `config.databaseUrl`, or the embedded one. */
  readonly databaseUrl: string;
  readonly log: Logger;
  readonly version: string;
  /** The folder of migrations, `prisma/migrations` of this version. */
  readonly migrations: string;
  /** Stands in for the corrected process clock. */
  readonly clock?: Clock;
  /** Told of every statement that is sent to Postgres. */
  readonly onStatement?: (text: string) => void;
}

export interface App {
  readonly server: FastifyInstance;
  readonly keyring: Keyring;
  /** Where the database is, for people. */
  readonly databaseAddress: DatabaseAddress;
  /**
   * Waits for the database, migrates it, and makes what a first start needs; requests get 503 until then. Rejects with
   * a `DatabaseError` or a `KeyEncryptionKeyError` where waiting is in vain.
   */
  start(): Promise<void>;
  /** Takes in at once what has changed in the database, and turns the keys if that is due. */
  refresh(): Promise<void>;
  /** Finishes what is under way, then lets go of the database. */
  close(): Promise<void>;
}

export async function createApp(options: AppOptions): Promise<App> {
  const { config, log } = options;
  const clock = options.clock ?? createClock(Date.now);
  const { now } = clock;
  const instance = newId('instance');

  const { onStatement } = options;
  const database = openDatabase(options.databaseUrl, onStatement === undefined ? {} : { onStatement });
  const registry = createRegistry(database);
  const keyEncryptionKeys = await readKeyEncryptionKeys(config.keysDir);
  for (const file of keyEncryptionKeys.exposed)
    log.warn({ file }, 'others may read this key-encryption key: chmod 600');

  const schedule = () =>
    scheduleOf({
      signFor: config.keySignFor,
      jwksMaxAge: config.jwksMaxAge,
      longestTokenTtl: replica.longestTokenTtl(),
      longestGrant: config.refreshTokenTtl,
    });
  const keyring = createKeyring({
    now,
    schedule,
    open: keyEncryptionKeys.open,
    onUnreadable: (kid, err) => log.error({ kid, err }, 'a signing key cannot be opened, so it cannot sign'),
  });
  const rotator = createRotator({
    database,
    keyEncryptionKeys,
    now,
    schedule,
    onStep: (step) => log.info({ step }, `signing keys: ${step.act}`),
  });
  const replica = createReplica({
    database,
    registry,
    keyring,
    rotator,
    clock,
    log,
    wallClock: Date.now,
    migrations: options.migrations,
    accessTokenTtl: config.accessTokenTtl,
    instance: () => ({ id: instance, version: options.version, keyEncryptionKeys: keyEncryptionKeys.ids() }),
  });

  const mint = createMint({ issuer: config.issuer, keyring, accessTokenTtl: config.accessTokenTtl, now });
  const authenticator = createClientAuthenticator(registry, config.issuer);
  const endpoints = [
    jwksEndpoint(keyring, config.jwksMaxAge),
    tokenEndpoint({ registry, authenticator, mint, now, log }),
    ...healthEndpoints(replica.readiness),
  ];
  const server = createServer({
    issuer: config.issuer,
    endpoints: [...endpoints, ...metadataEndpoints(config.issuer, endpoints, registry)],
    log,
    trustProxy: config.trustProxy,
    instance,
    readiness: replica.readiness,
  });

  return {
    server,
    keyring,
    databaseAddress: database.address,
    start: replica.start,
    refresh: replica.refresh,
    async close() {
      await server.close();
      await replica.stop();
      await database.close();
    },
  };
}
