/**
 * The composition root: makes every service once and passes it on. Knows all rooms and decides nothing that one of
 * them could.
 */
import { availableParallelism } from 'node:os';
import { createDenylist } from '@keyturn/verifier/denylist';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { adminResource } from './admin/access.ts';
import { type Clock, createClock } from './clock.ts';
import type { Config } from './config.ts';
import { newId } from './crypto/handle.ts';
import { createPasswords, hashingLimits } from './crypto/password.ts';
import type { GrantServices } from './grants/grant-type.ts';
import { createAddressOf } from './http/address.ts';
import { createClientAuthenticator } from './http/client-authentication.ts';
import { healthEndpoints } from './http/endpoints/health.ts';
import { introspectionEndpoint } from './http/endpoints/introspect.ts';
import { jwksEndpoint } from './http/endpoints/jwks.ts';
import { metadataEndpoints } from './http/endpoints/metadata.ts';
import { revocationStreamEndpoint } from './http/endpoints/revocation-stream.ts';
import { revocationsEndpoint } from './http/endpoints/revocations.ts';
import { revocationEndpoint } from './http/endpoints/revoke.ts';
import { tokenEndpoint } from './http/endpoints/token.ts';
import { userinfoEndpoints } from './http/endpoints/userinfo.ts';
import { createRate } from './http/rate.ts';
import { createServer } from './http/server.ts';
import type { Certificate } from './http/tls.ts';
import { readKeyEncryptionKeys } from './keys/key-encryption-keys.ts';
import { createKeyring, type Keyring } from './keys/keyring.ts';
import { clockSkew, pollInterval, scheduleOf } from './keys/lifecycle.ts';
import { createRotator } from './keys/rotator.ts';
import type { Logo } from './login/pages/index.ts';
import { composePeople } from './people.ts';
import { createReplica } from './replica.ts';
import { impatient, openDatabase } from './store/database.ts';
import type { DatabaseAddress } from './store/database-errors.ts';
import { countAllWaiting, deliveryTables } from './store/delivery.ts';
import { createRefreshGate } from './store/refresh-gate.ts';
import { clientCap, createRegistry } from './store/registry.ts';
import { findUser } from './store/user.ts';
import type { Suspicions } from './suspicion/index.ts';
import type { Tracing } from './telemetry/tracing.ts';
import { composeTelling } from './telling.ts';
import { createFeed } from './tokens/feed.ts';
import { createMint } from './tokens/mint.ts';
import { createRevoker } from './tokens/revocation.ts';
import { createTokenReader } from './tokens/verification.ts';

export interface AppOptions {
  readonly config: Config;
  /** Where Postgres is: `config.databaseUrl`, or the embedded one. */
  readonly databaseUrl: string;
  readonly log: Logger;
  readonly version: string;
  /** The folder of migrations, `prisma/migrations` of this version. */
  readonly migrations: string;
  /** For TLS without a proxy in front. */
  readonly certificate?: Certificate | undefined;
  /** The picture on the pages, where there is one. */
  readonly logo?: Logo;
  /** Stands in for the corrected process clock. */
  readonly clock?: Clock;
  /** Stands in for the process clock itself, in milliseconds. */
  readonly wallClock?: () => number;
  readonly tracing?: Tracing | undefined;
  /** Told of every statement that is sent to Postgres. */
  readonly onStatement?: (text: string) => void;
}

export interface App {
  readonly server: FastifyInstance;
  /** Where ADMIN_PORT is set. */
  readonly adminServer: FastifyInstance | undefined;
  readonly keyring: Keyring;
  readonly suspicions: Suspicions;
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
  const wallClock = options.wallClock ?? Date.now;
  const clock = options.clock ?? createClock(wallClock);
  const { now } = clock;
  const instance = newId('instance');

  const metrics =
    config.adminPort === undefined
      ? undefined
      : (await import('./telemetry/metrics.ts')).createMetrics({ version: options.version, deliveryTables });
  const { onStatement } = options;
  const { tracing } = options;
  const connection = {
    patience: impatient,
    ...(onStatement && { onStatement }),
    ...(tracing && { traceStatement: tracing.statement }),
  };
  // What keeps this process in step waits behind no request, so that requests that all wait do not make it go blind.
  const own = openDatabase(options.databaseUrl, { ...connection, maxConnections: 3 });
  const database = openDatabase(options.databaseUrl, { ...connection, isAway: () => replica.isAway() });
  const registry = createRegistry(own, clientCap, database, [adminResource(config.issuer)]);
  const keyEncryptionKeys = await readKeyEncryptionKeys(config.keysDir);
  for (const file of keyEncryptionKeys.exposed)
    log.warn({ file }, 'others may get at key-encryption keys by this: chmod go= it');

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
    catchUp: () => replica.catchUp(),
    open: keyEncryptionKeys.open,
    onUnreadable: (kid, err) => log.error({ kid, err }, 'a signing key cannot be opened, so it cannot sign'),
  });
  const rotator = createRotator({
    database: own,
    keyEncryptionKeys,
    now,
    schedule,
    onStep: (step) => log.info({ step }, `signing keys: ${step.act}`),
  });
  const denylist = createDenylist();
  const feed = createFeed();
  const mint = createMint({
    issuer: config.issuer,
    keyring: tracing?.spans(keyring, { sign: (alg) => `sign ${alg}` }) ?? keyring,
    accessTokenTtl: config.accessTokenTtl,
    permissionsOf: registry.permissionsOf,
    now,
  });
  const telling = composeTelling({ config, database, own, registry, mint, metrics, tracing, now, log });
  const { backChannel, suspicions } = telling;
  const replica = createReplica({
    database: own,
    denylist,
    feed,
    tellDue: telling.tellDue,
    registry,
    keyring,
    rotator,
    clock,
    log,
    wallClock,
    migrations: options.migrations,
    accessTokenTtl: config.accessTokenTtl,
    keySignFor: config.keySignFor,
    instance: () => ({ id: instance, version: options.version, keyEncryptionKeys: keyEncryptionKeys.ids() }),
    onAway() {
      for (const each of [own, database]) each.dropIdle();
    },
    onRevocation: metrics?.revocationApplied,
    kept: { auditRetention: config.auditRetention },
    onForgotten: metrics?.forgotten,
    onHouseKept: metrics?.houseKept,
  });

  const tail = () => replica.longestTokenTtl() + pollInterval + 2 * clockSkew;
  const isReady = () => ['ok', 'degraded'].includes(replica.readiness().status);
  const revocation = { now, longestLife: tail, onVoid: denylist.add };
  const revoker = createRevoker({ database, ...revocation });
  const reader = createTokenReader({ issuer: config.issuer, keys: keyring.rows, denylist, now });
  const refreshIdle = config.refreshTokenTtl / 2;
  const grantServices: GrantServices = {
    database,
    revoker,
    reader,
    refreshGate: createRefreshGate({ database, idle: refreshIdle, now }),
    // Without refresh tokens a grant need only be remembered while what it gave may be alive.
    grantLife: ({ grantTypes }) => (grantTypes.includes('refresh_token') ? config.refreshTokenTtl : tail()),
    refreshIdle,
    refreshGrace: config.refreshGrace,
    onReuse: metrics?.reused,
    observe: suspicions.observe,
  };
  const ownPasswords = createPasswords(hashingLimits(availableParallelism()));
  const passwords = tracing?.spans(ownPasswords, { hash: 'hash password', verify: 'verify password' }) ?? ownPasswords;
  const addressOf = createAddressOf(log);
  const people = composePeople({
    config,
    database,
    registry,
    keyEncryptionKeys,
    passwords,
    mint,
    reader,
    revoker,
    backChannel,
    grantServices,
    addressOf,
    now,
    metrics,
    logo: options.logo,
  });
  const user = (id: string) => findUser(database, id);
  const authenticator = createClientAuthenticator(registry, config.issuer);
  const revocationStream = revocationStreamEndpoint({ feed, authenticator, addressOf, exactNow: clock.exactNow });
  metrics?.observe({
    now: clock.exactNow,
    keys: keyring.rows,
    lockedKeys: keyring.locked,
    schedule,
    feed: {
      asOf: feed.asOf,
      entries: () => denylist.size,
      bytes: () => feed.after(undefined).json.length,
      readers: revocationStream.readers,
    },
    passwords: passwords.load,
    pool: database.pool,
    clockOffset: () => clock.offset() / 1000,
    deliveriesWaiting: () => countAllWaiting(database),
    ready: isReady,
  });
  const endpoints = [
    jwksEndpoint(keyring, config.jwksMaxAge),
    ...people,
    tokenEndpoint({
      registry,
      authenticator,
      mint,
      now,
      exactNow: clock.exactNow,
      grantServices,
      addressOf,
      rate: createRate(config.tokenRate),
      onIssued: metrics?.issued,
    }),
    ...userinfoEndpoints({ reader, user, now, addressOf, observe: suspicions.observe }),
    revocationEndpoint({ authenticator, reader, revoker, now }),
    introspectionEndpoint({ authenticator, reader, database, user, now, addressOf, observe: suspicions.observe }),
    revocationsEndpoint({ issuer: config.issuer, feed, exactNow: clock.exactNow }),
    revocationStream,
    ...healthEndpoints(replica.readiness),
  ];
  const server = await createServer({
    issuer: config.issuer,
    addressOf,
    certificate: options.certificate,
    endpoints: [...endpoints, ...metadataEndpoints(config.issuer, endpoints, registry)],
    log,
    trustProxy: config.trustProxy,
    instance,
    onAnswer: metrics?.answered,
    traceRequest: tracing?.request,
    readiness: replica.readiness,
    caughtUp: replica.caughtUp,
    isRegisteredOrigin: registry.hasOrigin,
    isFirstPartyOrigin: (origin) => registry.firstPartyOf(origin).length > 0,
  });

  const adminServer =
    metrics &&
    (await (
      await import('./administration.ts')
    ).composeAdministration({
      ...{ issuer: config.issuer, version: options.version, certificate: options.certificate },
      ...{ database, passwords, reader, revocation, metrics, log, now, schedule },
      ready: isReady,
    }));

  return {
    server,
    adminServer,
    keyring,
    suspicions,
    databaseAddress: database.address,
    start: replica.start,
    refresh: replica.refresh,
    async close() {
      await server.close();
      await adminServer?.close();
      await replica.stop();
      await telling.stop();
      await Promise.all([database.close(), own.close()]);
    },
  };
}
