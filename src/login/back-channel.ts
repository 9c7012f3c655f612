/**
 * Owns the telling of clients that somebody has signed out (OpenID Connect Back-Channel Logout 1.0). Knows nothing of why a
 * session has ended, nor of keys: it is given the tokens that it sends.
 */
import type { Logger } from 'pino';
import { claim, createOutbox, type Failure, type OnAttempt } from '../outbox/index.ts';
import { post } from '../outbox/post.ts';
import type { Client } from '../protocol/client.ts';
import { isRegistrableWebUri } from '../protocol/redirect-uri.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { Database } from '../store/database.ts';
import { claimDueDeliveries, claimNewDeliveries, type LogoutDelivery } from '../store/logout-delivery.ts';
import type { Telling } from './pages/index.ts';

/** How far telling one client is. */
export interface Told {
  readonly clientId: string;
  readonly state: Telling;
}

export interface BackChannelOptions {
  readonly database: Database;
  client(id: string): Client | undefined | Promise<Client | undefined>;
  /** A logout token (Back-Channel Logout §2.4). */
  logoutToken(signOut: {
    readonly clientId: string;
    readonly alg: string;
    readonly subject: string;
    readonly sid: string | undefined;
  }): Promise<string>;
  now(): NumericDate;
  readonly log: Logger;
  readonly onAttempt?: OnAttempt | undefined;
  readonly fetch?: typeof fetch | undefined;
  /** Milliseconds; 5,000 and 2,000 where not given. */
  readonly timeout?: number;
  readonly patience?: number;
}

export interface BackChannel {
  /**
   * Tells the clients of a sign-out that has just been written down. Resolves when all have answered, or to how far it
   * is when patience is over; it goes on then. Never rejects: what does not work is tried again, and logged.
   */
  tell(logoutId: string): Promise<readonly Told[]>;
  /** Attempts what is due, whoever wrote it down. Resolves when that has been attempted. Never rejects. */
  tellDue(): Promise<void>;
  /** Breaks off what is under way: it is due again soon, for whoever is there. */
  stop(): Promise<void>;
}

/** How long after each failed attempt the next is due; after the last one it is given up. */
const pauses: readonly Seconds[] = [1, 10, 60, 600, 3600];

/** How many attempts that are due may be under way. */
const atOnce = 50;

export function createBackChannel(options: BackChannelOptions): BackChannel {
  const { database, log, now, timeout = 5_000, patience = 2_000 } = options;
  const outbox = createOutbox<LogoutDelivery>({
    database,
    table: 'logout_delivery',
    claimDue: (at, until, limit) => claimDueDeliveries(database, at, until, limit),
    send,
    onOutcome({ id, clientId: client, attempts }, outcome) {
      if ('delivered' in outcome) return log.debug({ client, delivery: id }, 'a client was told of a sign-out');
      const givenUp = outcome.nextAttemptAt === null;
      const says = givenUp ? 'a client could not be told of a sign-out: given up' : 'a client could not be told yet';
      log[givenUp ? 'warn' : 'info']({ client, delivery: id, attempts, failure: outcome.why }, says);
    },
    onTrouble(err, delivery) {
      if (delivery === undefined) log.error({ err }, 'who is still to be told of a sign-out could not be read');
      else log.error({ err, client: delivery.clientId }, 'how telling a client of a sign-out went could not be kept');
    },
    onAttempt: options.onAttempt,
    pauses,
    atOnce,
    timeout,
    now,
  });

  async function send(delivery: LogoutDelivery, signal: AbortSignal): Promise<Failure | undefined> {
    const client = await options.client(delivery.clientId);
    const uri = client?.backchannelLogoutUri;
    if (client === undefined || typeof uri !== 'string') {
      return { why: 'the client has no back-channel address any more', final: true };
    }
    if (!isRegistrableWebUri(uri)) return { why: 'its back-channel address is neither https nor on this machine' };
    const { userId: subject, sessionId } = delivery;
    const sid = sessionId ?? undefined;
    const token = await options.logoutToken({ clientId: client.id, alg: client.idTokenAlg, subject, sid });
    return post(uri, { body: new URLSearchParams({ logout_token: token }), by: options.fetch }, signal, ({ status }) =>
      // 204 is what frameworks make of an answer without a body (Back-Channel Logout §2.8).
      status === 200 || status === 204 ? undefined : { why: `it answered ${status}` },
    );
  }

  return {
    async tell(logoutId) {
      const deliveries = await claimNewDeliveries(database, logoutId, now() + claim).catch((err) => {
        log.error({ err }, 'clients of a sign-out could not be told at once');
        return [];
      });
      const states = new Map<string, Telling>(deliveries.map(({ clientId }) => [clientId, 'pending']));
      const attempts = deliveries.map(async (delivery) => {
        const told = await outbox.attempt(delivery);
        if (told !== undefined) states.set(delivery.clientId, told ? 'told' : 'failed');
      });
      await within(patience, Promise.all(attempts));
      return [...states].map(([clientId, state]) => ({ clientId, state }));
    },

    tellDue: outbox.attemptDue,
    stop: outbox.stop,
  };
}

/** Resolves when the work is done or the time (milliseconds) is over. */
async function within(time: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise((resolve) => {
    timer = setTimeout(resolve, time);
  });
  await Promise.race([work, over]);
  clearTimeout(timer);
}
