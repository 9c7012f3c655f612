import type { Milliseconds } from './options.ts';

/** When something that failed may be tried again: after a random time, so that many readers do not come at once. */
export interface Backoff {
  /** Whether the time has come. */
  due(): boolean;
  /** Not before a random time between nothing and a limit, which doubles from 1 s to 30 s; on top of `least`. */
  failed(least?: Milliseconds): void;
  /** The next failure is the first again; the next try is due after a pause, in milliseconds. */
  succeeded(pause?: Milliseconds): void;
}

const shortest: Milliseconds = 1_000;
const longest: Milliseconds = 30_000;

export function createBackoff(monotonic: () => Milliseconds): Backoff {
  let limit = shortest;
  let dueAt = Number.NEGATIVE_INFINITY;
  return {
    due: () => monotonic() >= dueAt,
    failed(least = 0) {
      dueAt = monotonic() + least + Math.random() * limit;
      limit = Math.min(limit * 2, longest);
    },
    succeeded(pause = 0) {
      dueAt = monotonic() + pause;
      limit = shortest;
    },
  };
}
