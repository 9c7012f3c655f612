/** What a simulated installation is set up with: times, clocks, and how much happens to it. */
import { type Schedule, scheduleOf } from '../../src/keys/lifecycle.ts';
import type { NumericDate, Seconds } from '../../src/protocol/time.ts';
import type { Random } from './random.ts';

/** True time, which no clock of the installation shows: milliseconds since the epoch. */
export type Millis = number;

/** When every history begins. */
export const starts: Millis = 1_800_000_000_000;

/** What was set up: the numbers an operator may choose, and how much happens. */
export interface Setting {
  readonly jwksMaxAge: Seconds;
  readonly tokenTtl: Seconds;
  readonly longestGrant: Seconds;
  readonly schedule: Schedule;
  readonly instances: number;
  readonly ends: Millis;
  /** What the hand on the command line does, in turn at random. */
  readonly acts: readonly Act[];
}

export type Act = 'rotate' | 'rotate --now' | 'revoke';

/** What a clock shows, in whole seconds. */
export function reading(at: Millis, offset: Millis): NumericDate {
  return Math.floor((at + offset) / 1000);
}

/** A clock's whole seconds are never more than half the skew off true time, so that two differ by the skew at most. */
export function drawOffset(random: Random, { skew }: Schedule): Millis {
  return random.extreme(1000 - skew * 500, skew * 500);
}

/** Numbers that the configuration allows: signFor ≥ 2 × jwksMaxAge + token life. Tight ones as often as not. */
export function drawSetting(random: Random): Setting {
  const jwksMaxAge = random.extreme(1, random.pick([10, 600]));
  const tokenTtl = random.extreme(10, random.pick([20, 3600]));
  const least = 2 * jwksMaxAge + tokenTtl;
  const signFor = random.extreme(least, 4 * least);
  const longestGrant = random.extreme(10, 2 * signFor);
  const all: readonly Act[] = ['rotate', 'rotate --now', 'revoke'];
  return {
    jwksMaxAge,
    tokenTtl,
    longestGrant,
    schedule: scheduleOf({ signFor, jwksMaxAge, longestTokenTtl: tokenTtl, longestGrant }),
    instances: random.whole(1, 4),
    ends: starts + random.whole(4, 9) * signFor * 1000,
    acts: random.pick<readonly Act[]>([[], ['rotate'], ['rotate', 'rotate --now'], ['revoke'], all]),
  };
}
