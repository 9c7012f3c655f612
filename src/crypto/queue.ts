import { ProtocolError } from '../protocol/error.ts';
import type { Seconds } from '../protocol/time.ts';

export interface QueueLimits {
  /** How many run at a time. */
  readonly concurrency: number;
  /** How many more may wait for their turn. */
  readonly waiting: number;
  /** How long each of them may wait. */
  readonly patience: Seconds;
}

/**
 * Runs work when its turn comes, first come first served. Rejects with `temporarily_unavailable`, and never starts the
 * work, where too many wait already or its turn does not come in time.
 */
export interface Queue {
  <T>(work: () => Promise<T>): Promise<T>;
  /** How many run, and how many wait. */
  load(): { readonly running: number; readonly waiting: number };
}

export function createQueue({ concurrency, waiting, patience }: QueueLimits): Queue {
  /** Those who wait, each as what lets it start: a set keeps the order, and whoever gives up leaves from the middle. */
  const line = new Set<() => void>();
  let running = 0;

  async function enter(): Promise<void> {
    if (running < concurrency) {
      running += 1;
      return;
    }
    if (line.size >= waiting) throw refusal();
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        line.delete(start);
        reject(refusal());
      }, patience * 1000);
      const start = () => {
        clearTimeout(timer);
        resolve();
      };
      line.add(start);
    });
  }

  /** The place goes straight to the next in line, so that nobody who comes meanwhile can slip in. */
  function leave(): void {
    const [next] = line;
    if (next === undefined) {
      running -= 1;
    } else {
      line.delete(next);
      next();
    }
  }

  function refusal(): ProtocolError {
    const retryAfter = Math.max(1, Math.ceil(patience));
    return new ProtocolError('temporarily_unavailable', 'too many people are signing in just now', { retryAfter });
  }

  async function queue<T>(work: () => Promise<T>): Promise<T> {
    await enter();
    try {
      return await work();
    } finally {
      leave();
    }
  }
  return Object.assign(queue, { load: () => ({ running, waiting: line.size }) });
}
