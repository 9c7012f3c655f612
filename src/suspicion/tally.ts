/** Counts what comes in floods, in memory, before all instances count it together: one statement for many. Bounded. */
import type { NumericDate, Seconds } from '../protocol/time.ts';

export interface Tally {
  /** Counts one. Answers how many of the key have not been taken yet within the window. */
  add(key: string, at: NumericDate): number;
  /** Takes what has been counted. */
  take(key: string): number;
  readonly size: number;
}

interface Counted {
  readonly count: number;
  readonly since: NumericDate;
}

/** Of no more than `most` keys something is known: those that came last. */
export function createTally(window: Seconds, most: number): Tally {
  const counted = new Map<string, Counted>();

  return {
    add(key, at) {
      const before = counted.get(key);
      const { count, since } = before !== undefined && before.since > at - window ? before : { count: 0, since: at };
      counted.delete(key);
      counted.set(key, { count: count + 1, since });
      if (counted.size > most) counted.delete(counted.keys().next().value as string);
      return count + 1;
    },
    take(key) {
      const count = counted.get(key)?.count ?? 0;
      counted.delete(key);
      return count;
    },
    get size() {
      return counted.size;
    },
  };
}
