/** Several processes on one port, each an instance of its own: what starts them, replaces them and ends them. */
import cluster, { type Worker } from 'node:cluster';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';

export interface WorkersOptions {
  readonly count: number;
  /** The environment of a worker, from 1 on, beside this process's own. */
  environment(number: number): Record<string, string>;
  readonly log: Pick<Logger, 'error'>;
  /** Told when a worker could not even start: the others would not either. */
  onRefused(exitCode: number): void;
}

export interface Workers {
  /** Asks all to end; resolves when they have. */
  stop(): Promise<void>;
}

/** Milliseconds before one that has ended is replaced, so that what ends at once does not busy the machine. */
const pause = 1_000;

/** What a worker says to its parent once it serves. */
export const started = 'started';

export function startWorkers({ count, environment, log, onRefused }: WorkersOptions): Workers {
  const running = new Set<Worker>();
  let stopping = false;
  let anyStarted = false;

  function fork(number: number): void {
    const worker = cluster.fork(environment(number));
    running.add(worker);
    worker.on('message', (message) => {
      if (message === started) anyStarted = true;
    });
    worker.on('exit', (code, signal) => void onExit(worker, number, code, signal));
  }

  async function onExit(worker: Worker, number: number, code: number, signal: string | null): Promise<void> {
    running.delete(worker);
    if (stopping) return;
    if (!anyStarted && code !== 0 && !signal) return onRefused(code);
    log.error({ worker: number, code, signal }, 'a worker has ended; another takes its place');
    await delay(pause);
    if (!stopping) fork(number);
  }

  // Workers accept connections themselves. Those that this process would hand out one after the other are lost without
  // a word where the worker has just died.
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  for (let number = 1; number <= count; number += 1) fork(number);

  return {
    async stop() {
      stopping = true;
      const ended = [...running].map((worker) => new Promise<void>((resolve) => worker.on('exit', () => resolve())));
      for (const { process: child } of running) child.kill('SIGTERM');
      await Promise.all(ended);
    },
  };
}
