import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { type RuleName, ruleNames } from '../protocol/suspicion.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';

/** What the process is told of, each as it happens. What a caller sent is in no label. */
export interface Counts {
  /**
   * An answer of an endpoint. `outcome` is `ok`, the code of the OAuth error, or `refused` where there is none; no duration
   * for an answer whose end is up to its reader.
   */
  answered(path: string, method: string, status: number, outcome: string, duration: Seconds | undefined): void;
  /** An access token, by how it came about and its algorithm. */
  issued(grantType: string, alg: string): void;
  /** Something that works once came a second time, and its grant ended. */
  reused(token: 'code' | 'refresh_token'): void;
  /** A suspicion was told, by its rule. */
  suspected(rule: RuleName): void;
  /** A password was shown. */
  signIn(outcome: 'ok' | 'wrong' | 'limited' | 'busy' | 'error'): void;
  /** A revocation that came with a reading is in force here, so long after it was written down. */
  revocationApplied(lag: Seconds): void;
  /** An attempt to let somebody outside know, by the table of what is to be known. */
  deliveryAttempted(table: string, outcome: 'delivered' | 'failed' | 'given_up'): void;
  /** Rows of a table that were over and are gone. */
  forgotten(table: string, rows: number): void;
  /** A round of house-keeping went well. */
  houseKept(now: NumericDate): void;
}

/** Seconds. What is answered from memory takes a millisecond; a sign-in a hash, which is some 30 ms, and its wait. */
const durations = [0.002, 0.01, 0.05, 0.2, 1, 5];

/** Seconds. A wake-up takes milliseconds; without one it is the poll, a second, that brings a revocation. */
const lags = [0.02, 0.1, 0.5, 1, 2, 5, 15];

export function createCounts(registry: Registry, deliveryTables: readonly string[]): Counts {
  const registers = [registry];
  const answers = new Counter({
    name: 'keyturn_requests_total',
    help: 'Requests that were answered, by endpoint, status and outcome: ok, the code of the OAuth error, or refused.',
    labelNames: ['method', 'path', 'status', 'outcome'],
    registers,
  });
  const took = new Histogram({
    name: 'keyturn_request_duration_seconds',
    help: 'How long answers took, by endpoint.',
    labelNames: ['method', 'path'],
    buckets: durations,
    registers,
  });
  const tokens = new Counter({
    name: 'keyturn_access_tokens_total',
    help: 'Access tokens that were issued, by grant type and algorithm; session is a first-party sign-in.',
    labelNames: ['grant_type', 'alg'],
    registers,
  });
  const reuse = counterOf(['code', 'refresh_token'], {
    name: 'keyturn_reuse_total',
    help: 'Codes and replaced refresh tokens that came a second time, which ended their grants.',
    label: 'token',
    registry,
  });
  const suspicions = counterOf(ruleNames, {
    name: 'keyturn_suspicions_total',
    help: 'Suspicious activity that was told of, by rule.',
    label: 'rule',
    registry,
  });
  const signIns = counterOf(['ok', 'wrong', 'limited', 'busy', 'error'], {
    name: 'keyturn_sign_ins_total',
    help: 'Passwords that people showed: right, wrong, not looked at for what has failed before, or for want of room.',
    label: 'outcome',
    registry,
  });
  const lag = new Histogram({
    name: 'keyturn_revocation_lag_seconds',
    help: "From a revocation's being written down, by the database's clock, to its being in force in this instance.",
    buckets: lags,
    registers,
  });
  const deliveries = new Counter({
    name: 'keyturn_delivery_attempts_total',
    help: 'Attempts to let somebody outside know, such as clients of sign-outs: delivered, to be tried again, given up.',
    labelNames: ['table', 'outcome'],
    registers,
  });
  for (const table of deliveryTables) {
    for (const outcome of ['delivered', 'failed', 'given_up']) deliveries.inc({ table, outcome }, 0);
  }
  const rows = new Counter({
    name: 'keyturn_rows_forgotten_total',
    help: 'Rows that were over and have been cleared, by table.',
    labelNames: ['table'],
    registers,
  });
  const housekeeping = new Gauge({
    name: 'keyturn_house_keeping_timestamp_seconds',
    help: 'When a round of house-keeping last went well.',
    registers,
  });

  return {
    answered(path, method, status, outcome, duration) {
      answers.inc({ method, path, status, outcome });
      if (duration !== undefined) took.observe({ method, path }, duration);
    },
    issued: (grantType, alg) => tokens.inc({ grant_type: grantType, alg }),
    reused: reuse,
    suspected: suspicions,
    signIn: signIns,
    // Two clocks are compared, each known to some milliseconds.
    revocationApplied: (seconds) => lag.observe(Math.max(0, seconds)),
    deliveryAttempted: (table, outcome) => deliveries.inc({ table, outcome }),
    forgotten: (table, count) => rows.inc({ table }, count),
    houseKept: (now) => housekeeping.set(now),
  };
}

interface OneLabel {
  readonly name: string;
  readonly help: string;
  readonly label: string;
  readonly registry: Registry;
}

/** Counts by a label whose values are known: each begins at 0, so that the first that happens shows as a rise. */
function counterOf<Value extends string>(values: readonly Value[], { label, registry, ...rest }: OneLabel) {
  const counter = new Counter({ ...rest, labelNames: [label], registers: [registry] });
  for (const value of values) counter.inc({ [label]: value }, 0);
  return (value: Value) => counter.inc({ [label]: value });
}
