import type { Clock } from '../../src/clock.ts';
import type { NumericDate, Seconds } from '../../src/protocol/time.ts';

/** A clock that a test moves. It takes no notice of the database's. */
export interface TestClock extends Clock {
  advance(seconds: Seconds): void;
  set(instant: NumericDate): void;
}

export function createTestClock(start: NumericDate = 1_800_000_000): TestClock {
  let now = start;
  return {
    now: () => now,
    exactNow: () => now,
    measured: () => undefined,
    offset: () => 0,
    advance(seconds) {
      now += seconds;
    },
    set(instant) {
      now = instant;
    },
  };
}
