/**
 * Owns the telling of clients that somebody has signed out (OpenID Connect Back-Channel Logout 1.0): attempts, time-outs,
 * retries. Knows nothing of why a session has ended, nor of keys: it is given the tokens that it sends.
 */
import type { Logger } from 'pino';
import type { Client } from '../protocol/client.ts';
import { ProtocolError } from '../protocol/error.ts';
import { isRegistrableWebUri } from '../protocol/redirect-uri.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { Database } from '../store/database.ts';
import {
  claimDueDeliveries,
  claimNewDeliveries,
  type LogoutDelivery,
  noteDelivered,
  noteFailed,
} from '../store/logout-delivery.ts';
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

/** How long an attempt is nobody else's: longer than it may take. */
const claim: Seconds = 15;

/** How many attempts that are due may be under way, so that clients that hang cost sockets and nothing more. */
const atOnce = 50;

export function createBackChannel(options: BackChannelOptions): BackChannel {
  const { database, log, now, timeout = 5_000, patience = 2_000 } = options;
  const underWay = new Map<Promise<unknown>, AbortController>();
  let claiming = false;
  let stopped = false;

  /** One attempt. Resolves to whether the client has been told; undefined where it was broken off. */
  function attempt(delivery: LogoutDelivery): Promise<boolean | undefined> {
    const controller = new AbortController();
    const attempted = deliver(delivery, controller.signal)
      .catch((err) => {
        log.error({ err, client: delivery.clientId }, 'how telling a client of a sign-out went could not be kept');
        return undefined;
      })
      .finally(() => underWay.delete(attempted));
    underWay.set(attempted, controller);
    return attempted;
  }

  async function claimDue(): Promise<LogoutDelivery[]> {
    const room = atOnce - underWay.size;
    if (claiming || stopped || room <= 0) return [];
    claiming = true;
    try {
      return await claimDueDeliveries(database, now(), now() + claim, room);
    } catch (err) {
      log.error({ err }, 'who is still to be told of a sign-out could not be read');
      return [];
    } finally {
      claiming = false;
    }
  }

  async function deliver(delivery: LogoutDelivery, signal: AbortSignal): Promise<boolean | undefined> {
    const client = await options.client(delivery.clientId);
    const uri = client?.backchannelLogoutUri;
    if (client === undefined || typeof uri !== 'string') {
      return fail(delivery, 'the client has no back-channel address any more', null);
    }
    const failure = await whyNot(() => post(uri, client, delivery, signal));
    if (signal.aborted) return undefined;
    if (failure !== undefined) {
      const pause = pauses[delivery.attempts - 1];
      return fail(delivery, failure, pause === undefined ? null : now() + pause);
    }
    await noteDelivered(database, delivery.id, now());
    log.debug({ client: client.id, delivery: delivery.id }, 'a client was told of a sign-out');
    return true;
  }

  /** Why it did not work, in words; undefined where it did. */
  async function post(uri: string, client: Client, delivery: LogoutDelivery, signal: AbortSignal) {
    if (!isRegistrableWebUri(uri)) return 'its back-channel address is neither https nor on this machine';
    const { userId: subject, sessionId } = delivery;
    const sid = sessionId ?? undefined;
    const token = await options.logoutToken({ clientId: client.id, alg: client.idTokenAlg, subject, sid });
    const answer = await fetch(uri, {
      method: 'POST',
      body: new URLSearchParams({ logout_token: token }),
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeout)]),
    });
    // What it says is of no use to us, and may be of any length.
    await answer.body?.cancel();
    // 204 is what frameworks make of an answer without a body (Back-Channel Logout §2.8).
    return answer.status === 200 || answer.status === 204 ? undefined : `it answered ${answer.status}`;
  }

  async function whyNot(work: () => Promise<string | undefined>): Promise<string | undefined> {
    try {
      return await work();
    } catch (error) {
      return inWords(error as Error, timeout);
    }
  }

  async function fail({ id, clientId, attempts }: LogoutDelivery, failure: string, nextAttemptAt: NumericDate | null) {
    await noteFailed(database, id, failure, nextAttemptAt);
    const givenUp = nextAttemptAt === null;
    const says = givenUp ? 'a client could not be told of a sign-out: given up' : 'a client could not be told yet';
    log[givenUp ? 'warn' : 'info']({ client: clientId, delivery: id, attempts, failure }, says);
    return false;
  }

  return {
    async tell(logoutId) {
      const deliveries = await claimNewDeliveries(database, logoutId, now() + claim).catch((err) => {
        log.error({ err }, 'clients of a sign-out could not be told at once');
        return [];
      });
      const states = new Map<string, Telling>(deliveries.map(({ clientId }) => [clientId, 'pending']));
      const attempts = deliveries.map(async (delivery) => {
        const told = await attempt(delivery);
        if (told !== undefined) states.set(delivery.clientId, told ? 'told' : 'failed');
      });
      await within(patience, Promise.all(attempts));
      return [...states].map(([clientId, state]) => ({ clientId, state }));
    },

    async tellDue() {
      const due = await claimDue();
      await Promise.all(due.map(attempt));
    },

    async stop() {
      stopped = true;
      for (const controller of underWay.values()) controller.abort();
      await Promise.all(underWay.keys());
    },
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

/** Of what the other side sent nothing is repeated: only our own codes. */
function inWords(error: Error, timeout: number): string {
  if (error instanceof ProtocolError) return error.message;
  if (error.name === 'TimeoutError') return `it did not answer within ${timeout / 1000} s`;
  const { code } = (error.cause ?? error) as NodeJS.ErrnoException;
  if (code === 'ECONNREFUSED') return 'it refused the connection';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'its host has no address';
  return `it could not be reached (${code ?? error.name})`;
}
