import { setTimeout as delay } from 'node:timers/promises';

/** Bytes in use once everything is let go that can be; wants `node --expose-gc`. */
export async function bytesInUse(): Promise<number> {
  for (let times = 0; times < 3; times += 1) {
    (globalThis as { gc?(): void }).gc?.();
    await delay(20); // buffers go after that, by and by
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
