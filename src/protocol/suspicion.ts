import type { Seconds } from './time.ts';

/** What looks like an attack. */
export interface Suspicion {
  /** The rule that has found it. */
  readonly rule: string;
  /** What it is about, by kind and name, as the audit writes it. Of one rule and target one is told in a while. */
  readonly target: string;
  readonly userId?: string;
  readonly clientId?: string;
  readonly grantId?: string;
  /** The IP address of the last request of those that make it up. */
  readonly address: string | null;
  /** What was seen, in words. */
  readonly reason: string;
  /** How much of it was counted, and in how long. */
  readonly count?: number;
  readonly window?: Seconds;
}
