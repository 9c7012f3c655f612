/** What a rule is, and what comes of one. Pure. */
import type { ForgedToken, Observation } from '../protocol/observation.ts';
import type { RuleName, Suspicion } from '../protocol/suspicion.ts';

/** What rules are shown: observations, of those that come in floods the ones at which many have been counted. */
export type Sight = Exclude<Observation, ForgedToken> | CountedForgeries;

export interface CountedForgeries extends ForgedToken {
  /** How many have come of the same client, or else from the same address, of late, on all instances. */
  readonly count: number;
}

/** What a rule makes of something. */
export type Finding = Omit<Suspicion, 'rule'>;

/** One way in which attacks show. What it is shown is all that it knows. */
export interface Rule {
  readonly name: RuleName;
  judge(sight: Sight): Finding | undefined;
}
