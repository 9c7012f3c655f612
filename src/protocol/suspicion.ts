import type { Seconds } from './time.ts';

/** The rules, by their names in logs, the audit, the metric and events. */
export const ruleNames = [
  'refresh-token-reuse',
  'code-replay',
  'grant-in-two-places',
  'many-accounts',
  'many-addresses',
  'forged-tokens',
] as const;

export type RuleName = (typeof ruleNames)[number];

/** What looks like an attack. */
export interface Suspicion {
  /** The rule that has found it. */
  readonly rule: RuleName;
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
