/**
 * Notices that the process has slept: stopped by a signal, suspended with its machine, or starved. What it holds in
 * memory may then be old without anybody here knowing. That is another matter than a database that is away: then every
 * reading is missed knowingly, and how long one goes on without is decided elsewhere.
 */

export interface SleepWatch {
  /** Whether it has slept and has not read the database since. */
  behind(): boolean;
  /**
   * Undefined while it is not behind. Otherwise resolves once it no longer is, or when there has been time enough for
   * that; who goes on asks `behind` again.
   */
  caughtUp(): Promise<void> | undefined;
  /** What a reading brought that was begun at `askedAt`, in milliseconds of `wallClock`, is in force. */
  readingTaken(askedAt: number): void;
  start(): void;
  stop(): void;
}

export interface SleepWatchOptions {
  /** Our clock, in milliseconds. The wall's, since the monotonic one stands still while a machine is suspended. */
  wallClock(): number;
  /** Called when a sleep is noticed: asks for a reading. */
  onWake(asleep: number): void;
}

/** Milliseconds between two signs of life of our own. */
const heartbeat = 1_000;

/** A pause longer than this, in milliseconds, is a sleep: an instance may learn of changes no later than others expect. */
const longestPause = 3_000;

/** Milliseconds that a reading may take after a sleep before those who wait for it go on without. */
const patience = 2_000;

export function createSleepWatch({ wallClock, onWake }: SleepWatchOptions): SleepWatch {
  let lastAlive: number | undefined;
  let wokeAt: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  let waiting: { readonly promise: Promise<void>; resolve(): void } | undefined;

  /** Asked by the heartbeat and by whoever needs to know, as after a sleep either may come first. */
  function behind(): boolean {
    const now = wallClock();
    const asleep = lastAlive === undefined ? 0 : now - lastAlive;
    if (lastAlive !== undefined) lastAlive = now;
    if (asleep > longestPause) {
      wokeAt = now;
      waiting = undefined;
      onWake(asleep);
    }
    return wokeAt !== undefined;
  }

  function wait(): Promise<void> {
    if (waiting === undefined) {
      let resolve = () => {};
      const promise = new Promise<void>((done) => {
        resolve = done;
        setTimeout(done, patience).unref();
      });
      waiting = { promise, resolve };
    }
    return waiting.promise;
  }

  return {
    behind,
    caughtUp() {
      if (behind()) return wait();
      return undefined;
    },
    readingTaken(askedAt) {
      if (wokeAt === undefined || askedAt < wokeAt) return;
      wokeAt = undefined;
      waiting?.resolve();
      waiting = undefined;
    },
    start() {
      lastAlive = wallClock();
      timer = setInterval(behind, heartbeat).unref();
    },
    stop() {
      clearInterval(timer);
      waiting?.resolve();
    },
  };
}
