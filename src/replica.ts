/**
 * Keeps what is in memory in step with Postgres, from the first reading on, and the keys turning. Part of the
 * composition root: it owns the order of these things and whether the process is ready, and nothing else.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { Denylist } from '@keyturn/verifier/denylist';
import type { Logger } from 'pino';
import type { Clock } from './clock.ts';
import { defaultAlg } from './crypto/algorithms.ts';
import type { Readiness } from './http/endpoints/health.ts';
import { KeyEncryptionKeyError } from './keys/key-encryption-keys.ts';
import type { Keyring } from './keys/keyring.ts';
import { clockSkew, pollInterval } from './keys/lifecycle.ts';
import type { Rotator } from './keys/rotator.ts';
import { ProtocolError } from './protocol/error.ts';
import type { NumericDate, Seconds } from './protocol/time.ts';
import { type Reading, watchChanges } from './store/change-watcher.ts';
import { connectWhenAvailable } from './store/connect.ts';
import type { Database } from './store/database.ts';
import { explainDatabaseError, isDatabaseAway } from './store/database-errors.ts';
import { forgetOldRows, type Kept } from './store/house-keeping.ts';
import { type Instance, removeInstance, reportInstance } from './store/instance.ts';
import { raiseLongestTokenTtl, readIssuerState } from './store/issuer.ts';
import { applyMigrations } from './store/migrations.ts';
import type { Registry } from './store/registry.ts';
import { listRevocations } from './store/revocation.ts';
import { listSigningKeys } from './store/signing-key.ts';
import { createSleepWatch } from './store/sleep-watch.ts';
import type { Feed } from './tokens/feed.ts';

/**
 * How long tokens are issued from memory while the database is away: after that, clients and keys are too likely to
 * have changed. Seconds. Never longer than a key signs: the one after the standby is not known here.
 */
export const longestOutage: Seconds = 3600;

/** Readings are a second apart; after so many seconds without one the database counts as away. */
const awayAfter: Seconds = 5;

/** Milliseconds between house-keeping rounds, and where the last one left some: others use the database too. */
const houseKeeping = { calm: 20_000, behind: 200 };

/** Milliseconds before a failed rotation is tried again. */
const rotationRetry = 5_000;

/** Milliseconds before what comes before the first request is tried again: meanwhile other instances have their turn. */
const prepareRetry = 3_000;

export interface ReplicaOptions {
  readonly database: Database;
  readonly registry: Registry;
  readonly keyring: Keyring;
  readonly rotator: Rotator;
  readonly denylist: Denylist;
  readonly feed: Feed;
  /** Sends out what is due to be told; started after each reading, waited for by nobody. */
  tellDue(): void;
  readonly clock: Clock;
  readonly log: Logger;
  /** Milliseconds. */
  wallClock(): number;
  readonly migrations: string;
  readonly accessTokenTtl: Seconds;
  readonly keySignFor: Seconds;
  instance(): Omit<Instance, 'startedAt'>;
  /** The database was found to be away. */
  onAway(): void;
  /** Told, if given, how long after it was written down a revocation is in force here. */
  readonly onRevocation?: ((lag: Seconds) => void) | undefined;
  /** Told, if given, of rows that were over, and of a round of house-keeping that went well. */
  /** What house-keeping leaves. */
  readonly kept: Kept;
  readonly onForgotten?: ((table: string, rows: number) => void) | undefined;
  readonly onHouseKept?: ((now: NumericDate) => void) | undefined;
}

export interface Replica {
  /** Waits for the database, migrates it, prepares a first start, reads everything; then goes on reading. */
  start(): Promise<void>;
  /** Reads what has changed and turns the keys if that is due; resolves when both are in force here. */
  refresh(): Promise<void>;
  stop(): Promise<void>;
  readiness(): Readiness;
  /** Whether the last reading found no database: who needs one need not try before it is back. */
  isAway(): boolean;
  /**
   * After a sleep: resolves once the database has been read, or when that takes too long. Undefined otherwise, also
   * while the database is away.
   */
  caughtUp(): Promise<void> | undefined;
  /** The same for who must not go on without: rejects with `temporarily_unavailable` where it takes too long. */
  catchUp(): Promise<void> | undefined;
  /** The longest life of any token that may be alive. */
  longestTokenTtl(): Seconds;
}

export function createReplica(options: ReplicaOptions): Replica {
  const { database, registry, keyring, rotator, denylist, feed, clock, log, wallClock } = options;
  const stopping = new AbortController();
  const heldKeys = () => options.instance().keyEncryptionKeys.length;
  let started = false;
  let startedAt = 0;
  let lastReadAt = 0;
  let longestTokenTtl = options.accessTokenTtl;
  let failure: string | undefined;
  let isAway = false;
  let folderFailure: string | undefined;
  let sealingKey: string | null = null;
  /** A key-encryption key has come, with which the next reading may open more signing keys. */
  let reopen = false;
  let rotation: Promise<void> | undefined;
  let rotateAfter = 0;
  let houseKeeper: NodeJS.Timeout | undefined;

  const watcher = watchChanges(database, {
    onReading,
    onFailure: fail,
    wallClock,
    interval: pollInterval * 1000,
  });

  const sleep = createSleepWatch({
    wallClock,
    onWake(asleep) {
      log.warn({ seconds: Math.round(asleep / 1000) }, 'this process has slept; reading the database before it signs');
      void watcher.read().catch(fail);
    },
  });

  async function onReading(reading: Reading): Promise<void> {
    const { changes, everything } = reading;
    clock.measured(reading.clockOffset, reading.roundTrip);
    const touches = (kind: string) => everything || changes.some((change) => change.kind === kind);
    if (touches('issuer')) ({ longestTokenTtl, sealingKey } = await readIssuerState(database));
    if (touches('issuer') && started) await followSealingKey();
    if (touches('signing_key') || touches('issuer') || reopen) {
      reopen = false;
      await keyring.take(await listSigningKeys(database));
    }
    await takeRevocations(reading, touches('revocation'));
    if (everything) await registry.load();
    else await registry.refresh(changes);
    lastReadAt = wallClock();
    if (reading.complete) sleep.readingTaken(reading.askedAt);
    if (failure !== undefined) log.info('the database is back');
    failure = undefined;
    isAway = false;
    if (started && wallClock() >= rotateAfter) void rotateInTurn();
    if (started) options.tellDue();
  }

  /** The denylist only grows, also where the database that was read has lost entries. */
  async function takeRevocations(
    { everything, complete, incarnation, askedAt }: Reading,
    more: boolean,
  ): Promise<void> {
    const revocations = more ? await listRevocations(database, everything ? 0 : feed.head()) : [];
    const asked = clock.exactNow() - (wallClock() - askedAt) / 1000;
    denylist.add(revocations);
    feed.take({ incarnation, everything, revocations, asOf: complete ? asked : undefined }, asked);
    const { onRevocation } = options;
    if (onRevocation === undefined || everything) return;
    for (const { createdAt } of revocations) onRevocation(clock.exactNow() - createdAt);
  }

  /** Said once for each different reason, however often it comes. */
  function fail(error: unknown): void {
    const { kind, message } = explainDatabaseError(error, database.address);
    if (message !== failure) log.error(message);
    failure = message;
    if (kind === 'unavailable') options.onAway();
    isAway = kind === 'unavailable';
  }

  /** Where it cannot be followed we go on with what we have: one key more or less is no reason to stop. */
  async function followSealingKey(): Promise<void> {
    try {
      const before = heldKeys();
      await rotator.follow(sealingKey);
      if (heldKeys() > before) {
        reopen = true;
        await reportInstance(database, { ...options.instance(), startedAt });
      }
      folderFailure = undefined;
    } catch (error) {
      if (!(error instanceof KeyEncryptionKeyError)) throw error;
      if (error.message !== folderFailure) log.error(error.message);
      folderFailure = error.message;
    }
  }

  function rotateInTurn(): Promise<void> {
    rotation ??= rotator
      .rotate(keyring.rows())
      .catch((err) => {
        rotateAfter = wallClock() + rotationRetry;
        log.error({ err }, 'the signing keys could not be turned; trying again');
      })
      .finally(() => {
        rotation = undefined;
      });
    return rotation;
  }

  async function keepHouse(): Promise<void> {
    let more = false;
    try {
      await followSealingKey();
      await reportInstance(database, { ...options.instance(), startedAt });
      more = await forgetOldRows(database, options.kept, options.onForgotten);
      // Not by our clock alone, which may have jumped since: what is forgotten does not come again.
      const over = Math.min(clock.now(), feed.asOf());
      denylist.forget(over);
      feed.forget(over);
      options.onHouseKept?.(clock.now());
    } catch (error) {
      fail(error);
    }
    if (!stopping.signal.aborted) houseKeeper = setTimeout(keepHouse, more ? houseKeeping.behind : houseKeeping.calm);
  }

  function readiness(): Readiness {
    if (!started) return { status: 'starting', reason: 'waiting for the database' };
    const away = (wallClock() - lastReadAt) / 1000;
    if (Math.abs(clock.offset()) > clockSkew * 1000) {
      return { status: 'unready', reason: `the clock is more than ${clockSkew} s off the database's` };
    }
    if (sleep.behind()) return { status: 'unready', reason: 'it has slept, and reads the database first' };
    if (keyring.isLocked(defaultAlg)) return { status: 'unready', reason: 'the key that signs cannot be opened' };
    if (away > Math.min(longestOutage, options.keySignFor))
      return { status: 'unready', reason: 'the database has been away for too long' };
    if (isAway || away > awayAfter) return { status: 'degraded', reason: 'the database is away' };
    return { status: 'ok' };
  }

  function catchUp(): Promise<void> | undefined {
    return sleep.caughtUp()?.then(() => {
      if (!sleep.behind()) return;
      throw new ProtocolError('temporarily_unavailable', 'not ready to answer', { retryAfter: 1 });
    });
  }

  async function refresh(): Promise<void> {
    await watcher.read();
    if (rotator.due(keyring.rows()).length === 0) return;
    await rotator.rotate(keyring.rows());
    await watcher.read();
  }

  /** Everything between the first connection and the first request. False: the database was away or busy meanwhile. */
  async function prepare(): Promise<boolean> {
    try {
      await applyMigrations(database, options.migrations);
      await rotator.prepare();
      await raiseLongestTokenTtl(database, options.accessTokenTtl);
      await refresh();
      return true;
    } catch (error) {
      if (!isDatabaseAway(error)) throw error;
      log.warn(`waiting: ${explainDatabaseError(error, database.address).message}`);
      return false;
    }
  }

  return {
    readiness,
    isAway: () => isAway,
    refresh,
    caughtUp: sleep.caughtUp,
    catchUp,
    longestTokenTtl: () => longestTokenTtl,

    async start() {
      for (let prepared = false; !prepared; ) {
        const { signal } = stopping;
        await connectWhenAvailable(database, { onWaiting: (reason) => log.warn(`waiting: ${reason}`), signal });
        prepared = await prepare();
        if (!prepared) await delay(prepareRetry, undefined, { signal }).catch(() => signal.throwIfAborted());
      }
      startedAt = clock.now();
      started = true;
      sleep.start();
      watcher.start();
      void keepHouse();
    },

    async stop() {
      stopping.abort(new Error('stopping'));
      clearTimeout(houseKeeper);
      sleep.stop();
      await watcher.stop();
      await rotation;
      if (started) await removeInstance(database, options.instance().id).catch(() => undefined);
    },
  };
}
