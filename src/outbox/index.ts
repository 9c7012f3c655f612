/**
 * Owns how what has been written down reaches somebody outside: attempts, time-outs, retries, and what went wrong in words.
 * Must not know what it carries, nor to whom: it is given rows, and the way to send one.
 */
import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { Database } from '../store/database.ts';
import { type DeliveryRow, type DeliveryTable, noteDelivered, noteFailed } from '../store/delivery.ts';
import { inWords } from './post.ts';

/** Why it did not arrive, in words of ours; `final` where trying again is in vain. */
export interface Failure {
  readonly why: string;
  readonly final?: true;
}

/** How an attempt ended; `nextAttemptAt` null: it is given up. */
export type Outcome = { readonly delivered: true } | (Failure & { readonly nextAttemptAt: NumericDate | null });

/** `failed` is tried again. */
export type OnAttempt = (table: DeliveryTable, outcome: 'delivered' | 'failed' | 'given_up') => void;

export interface OutboxOptions<Row extends DeliveryRow> {
  readonly database: Database;
  readonly table: DeliveryTable;
  /** Takes rows that are due. Until then nobody else attempts them. */
  claimDue(now: NumericDate, until: NumericDate, limit: number): Promise<readonly Row[]>;
  /** One attempt, to be broken off when the signal says so. Undefined: it has arrived. May throw what `fetch` throws. */
  send(row: Row, signal: AbortSignal): Promise<Failure | undefined>;
  /** Told how each attempt has ended. */
  onOutcome(row: Row, outcome: Outcome): void;
  /** Told the same of all outboxes, by those who count, if given. */
  readonly onAttempt?: OnAttempt | undefined;
  /** Told what stands in the way of keeping on. */
  onTrouble(err: unknown, row: Row | undefined): void;
  /** How long after each failed attempt the next is due; after the last one it is given up. */
  readonly pauses: readonly Seconds[];
  /** How many attempts that are due may be under way, so that who hangs costs sockets and nothing more. */
  readonly atOnce: number;
  /** Milliseconds that an attempt may take. */
  readonly timeout: number;
  now(): NumericDate;
}

export interface Outbox<Row> {
  /** Attempts a row that the caller has claimed. Resolves to whether it has arrived; undefined where it was broken off. */
  attempt(row: Row): Promise<boolean | undefined>;
  /** Attempts what is due, whoever wrote it down. Resolves when that has been attempted. Never rejects. */
  attemptDue(): Promise<void>;
  /** Breaks off what is under way: it is due again soon, for whoever is there. */
  stop(): Promise<void>;
}

/** How long an attempt is nobody else's: longer than it may take. */
export const claim: Seconds = 15;

export function createOutbox<Row extends DeliveryRow>(options: OutboxOptions<Row>): Outbox<Row> {
  const { database, table, now, pauses, atOnce, timeout } = options;
  const underWay = new Map<Promise<unknown>, AbortController>();
  let claiming = false;
  let stopped = false;

  function attempt(row: Row): Promise<boolean | undefined> {
    const controller = new AbortController();
    const attempted = deliver(row, controller.signal)
      .catch((err) => {
        options.onTrouble(err, row);
        return undefined;
      })
      .finally(() => underWay.delete(attempted));
    underWay.set(attempted, controller);
    return attempted;
  }

  async function deliver(row: Row, signal: AbortSignal): Promise<boolean | undefined> {
    const failure = await whyNot(row, AbortSignal.any([signal, AbortSignal.timeout(timeout)]));
    if (signal.aborted) return undefined;
    if (failure === undefined) {
      await noteDelivered(database, table, row.id, now());
      options.onAttempt?.(table, 'delivered');
      options.onOutcome(row, { delivered: true });
      return true;
    }
    const pause = failure.final ? undefined : pauses[row.attempts - 1];
    const nextAttemptAt = pause === undefined ? null : now() + pause;
    await noteFailed(database, table, row.id, failure.why, nextAttemptAt);
    options.onAttempt?.(table, nextAttemptAt === null ? 'given_up' : 'failed');
    options.onOutcome(row, { ...failure, nextAttemptAt });
    return false;
  }

  async function whyNot(row: Row, signal: AbortSignal): Promise<Failure | undefined> {
    try {
      return await options.send(row, signal);
    } catch (error) {
      return { why: inWords(error as Error, timeout) };
    }
  }

  async function claimDue(): Promise<readonly Row[]> {
    const room = atOnce - underWay.size;
    if (claiming || stopped || room <= 0) return [];
    claiming = true;
    try {
      return await options.claimDue(now(), now() + claim, room);
    } catch (err) {
      options.onTrouble(err, undefined);
      return [];
    } finally {
      claiming = false;
    }
  }

  return {
    attempt,

    async attemptDue() {
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
