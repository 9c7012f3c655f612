/**
 * How often somebody may come: the generic cell rate algorithm (ITU-T I.371), in memory and for this process alone. Written
 * out here because it stands where a token costs some forty microseconds: a library's limiter would be a tenth of that.
 */
import type { Seconds } from '../protocol/time.ts';

export interface Rate {
  /** Counts a coming of `key` at `now`. 0: within the rate; else after how many seconds to come again. */
  take(key: string, now: Seconds): Seconds;
}

/** Keys that are remembered. Who is forgotten, the first that came, starts anew. */
const most = 50_000;

/** So many comings a second, and all of a second's at once. */
export function createRate(perSecond: number): Rate {
  /** By key, when all that has come would be within an even flow. */
  const due = new Map<string, Seconds>();

  return {
    take(key, now) {
      const before = Math.max(due.get(key) ?? 0, now);
      const wait = before - now - 1 + 1 / perSecond;
      if (wait > 1e-6) return Math.ceil(wait);
      due.set(key, before + 1 / perSecond);
      if (due.size > most) due.delete(due.keys().next().value as string);
      return 0;
    },
  };
}
