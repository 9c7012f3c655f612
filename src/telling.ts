/** Part of the composition root: what is told to somebody outside, clients of sign-outs and whoever runs it of attacks. */
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import { type BackChannel, createBackChannel } from './login/back-channel.ts';
import type { NumericDate } from './protocol/time.ts';
import type { Database } from './store/database.ts';
import type { Registry } from './store/registry.ts';
import { createSuspicions, type Suspicions } from './suspicion/index.ts';
import type { Metrics } from './telemetry/metrics.ts';
import type { Tracing } from './telemetry/tracing.ts';
import type { Mint } from './tokens/mint.ts';

export interface TellingOptions {
  readonly config: Config;
  readonly database: Database;
  /** For what goes on without any request. */
  readonly own: Database;
  readonly registry: Registry;
  readonly mint: Mint;
  readonly metrics: Metrics | undefined;
  readonly tracing: Tracing | undefined;
  now(): NumericDate;
  readonly log: Logger;
}

export interface Telling {
  readonly backChannel: BackChannel;
  readonly suspicions: Suspicions;
  /** Tells what is due, whoever wrote it down; waited for by nobody. */
  tellDue(): void;
  stop(): Promise<void>;
}

export function composeTelling({ config, database, own, registry, mint, ...options }: TellingOptions): Telling {
  const { metrics, tracing, now, log } = options;
  const { eventsUrl } = config;
  const outgoing = { database: own, now, log, onAttempt: metrics?.deliveryAttempted, fetch: tracing?.fetch };
  const backChannel = createBackChannel({ ...outgoing, client: registry.client, logoutToken: mint.logoutToken });
  const suspicions = createSuspicions({
    database,
    log,
    accessTokenTtl: config.accessTokenTtl,
    onTold: metrics?.suspected,
    ...(eventsUrl && { events: { ...outgoing, url: eventsUrl, securityEvent: mint.securityEvent } }),
  });

  return {
    backChannel,
    suspicions,
    tellDue() {
      void backChannel.tellDue();
      void suspicions.sendDue();
    },
    async stop() {
      await Promise.all([backChannel.stop(), suspicions.stop()]);
    },
  };
}
