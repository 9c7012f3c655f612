/**
 * Sends suspicions to whoever EVENTS_URL names, as signed Security Event Tokens (RFC 8417), pushed one by one (RFC 8935).
 * Knows nothing of keys: it is given the tokens that it sends.
 */
import type { Logger } from 'pino';
import { createOutbox, type Failure, type OnAttempt, type Outbox } from '../outbox/index.ts';
import { type Answered, post } from '../outbox/post.ts';
import type { Suspicion } from '../protocol/suspicion.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { Database } from '../store/database.ts';
import { claimDueEvents, type EventDelivery } from '../store/event-delivery.ts';

/** What a security event token says. */
export interface SecurityEvent {
  /** `jti`: the same in each attempt, so that who has got it twice can tell. */
  readonly id: string;
  readonly at: NumericDate;
  readonly audience: string;
  readonly suspicion: Suspicion;
}

export interface EventsOptions {
  readonly database: Database;
  /** `https:`, or `http:` on this machine. */
  readonly url: string;
  securityEvent(event: SecurityEvent): Promise<string>;
  now(): NumericDate;
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
  readonly onAttempt?: OnAttempt | undefined;
  /** In place of the global one. */
  readonly fetch?: typeof fetch | undefined;
  /** Milliseconds; 5,000 where not given. */
  readonly timeout?: number;
}

/** How long after each failed attempt the next is due; after a good day it is given up. */
const pauses: readonly Seconds[] = [1, 10, 60, 600, 3600, 4 * 3600, 16 * 3600];

/** How many may be under way: one receiver, which may have just come back. */
const atOnce = 10;

/** What a receiver may say of a token that it does not take (RFC 8935 §2.4). Nothing else of it goes into the log. */
const errors = [
  'invalid_request',
  'invalid_key',
  'invalid_issuer',
  'invalid_audience',
  'authentication_failed',
  'access_denied',
];

/** Longer than any answer that means something. */
const longestAnswer = 4_096;

export function createEvents(options: EventsOptions): Outbox<EventDelivery> {
  const { database, url, log, now } = options;
  const audience = new URL(url).origin;

  async function send({ id, at, suspicion }: EventDelivery, signal: AbortSignal): Promise<Failure | undefined> {
    const body = await options.securityEvent({ id, at, audience, suspicion });
    const headers = { 'content-type': 'application/secevent+jwt', accept: 'application/json' };
    return post(url, { body, headers, by: options.fetch }, signal, read);
  }

  return createOutbox<EventDelivery>({
    database,
    table: 'event_delivery',
    claimDue: (at, until, limit) => claimDueEvents(database, at, until, limit),
    send,
    onOutcome({ id: event, attempts, suspicion: { rule } }, outcome) {
      if ('delivered' in outcome) return log.debug({ event, rule }, 'an event was delivered');
      const givenUp = outcome.nextAttemptAt === null;
      const says = givenUp ? 'an event could not be delivered: given up' : 'an event could not be delivered yet';
      log[givenUp ? 'warn' : 'info']({ event, rule, attempts, failure: outcome.why }, says);
    },
    onTrouble: (err, row) => log.error({ err, event: row?.id }, 'events could not be delivered, or that be kept'),
    onAttempt: options.onAttempt,
    pauses,
    atOnce,
    timeout: options.timeout ?? 5_000,
    now,
  });
}

/** 202 says that it was taken (RFC 8935 §2.2), 400 with a code why not (§2.3). */
async function read({ status, text }: Answered): Promise<Failure | undefined> {
  if (status === 202) return undefined;
  const code = status === 400 ? errorCode(await text(longestAnswer)) : undefined;
  return { why: code === undefined ? `it answered ${status}` : `it answered 400 ${code}` };
}

function errorCode(text: string | undefined): string | undefined {
  try {
    const { err } = JSON.parse(text ?? '') as { err?: unknown };
    return errors.find((known) => known === err);
  } catch {
    return undefined;
  }
}
