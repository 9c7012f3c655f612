/** A document of the issuer that is kept in memory and fetched anew before it is too old. */
import { createBackoff } from './backoff.ts';
import { maxAgeOf } from './http.ts';
import type { Milliseconds, Seconds } from './options.ts';

export interface Clocks {
  now(): Milliseconds;
  monotonic(): Milliseconds;
}

export interface KeptDocument<T> {
  /** What is known; undefined before it is, or once it is older than anything may be. Renews it where that is due. */
  current(): T | undefined;
  /** The same, and waits for it where nothing is known. Rejects where it cannot be had now. */
  get(): Promise<T>;
  /** Fetches it at once, or joins a fetch under way. Not more often than every ten seconds: then resolves at once. */
  refetch(): Promise<void>;
  /** Resolves when no fetch is under way. */
  settled(): Promise<void>;
}

export interface KeptDocumentOptions<T> {
  readonly clocks: Clocks;
  /** How long it is good for where its headers do not say. */
  readonly maxAge: Seconds;
  /** `anew`: past all caches on the way. */
  load(anew: boolean): Promise<{ value: T; headers: Headers }>;
}

/** While the issuer is away a document may be used for so long. */
export const longestUse: Seconds = 86_400;

/** Headers may say so little at least: no reader asks more often by itself. */
const shortestUse: Seconds = 10;

/** Between two fetches that are asked for from outside. */
const pause: Seconds = 10;

export function createKeptDocument<T>({ clocks, maxAge, load }: KeptDocumentOptions<T>): KeptDocument<T> {
  const backoff = createBackoff(clocks.monotonic);
  let kept: { value: T; at: Instant; dueAfter: Seconds } | undefined;
  let triedAt: Instant | undefined;
  let fetching: Promise<T> | undefined;
  let failure: unknown;

  type Instant = readonly [now: Milliseconds, monotonic: Milliseconds];
  const instant = (): Instant => [clocks.now(), clocks.monotonic()];
  /** By whichever clock says more: one may have been set back, the other may stand still while a machine sleeps. */
  const since = ([now, monotonic]: Instant) => Math.max(clocks.now() - now, clocks.monotonic() - monotonic) / 1000;

  function fetchOnce(anew: boolean): Promise<T> {
    fetching ??= fetchNow(anew).finally(() => {
      fetching = undefined;
    });
    return fetching;
  }

  async function fetchNow(anew: boolean): Promise<T> {
    const at = instant();
    triedAt = at;
    try {
      const { value, headers } = await load(anew);
      const life = Math.min(Math.max(maxAgeOf(headers) ?? maxAge, shortestUse), longestUse);
      // Ahead of its end, and not all readers at once.
      kept = { value, at, dueAfter: life * (0.7 + Math.random() * 0.15) };
      backoff.succeeded();
      return value;
    } catch (error) {
      failure = error;
      backoff.failed();
      throw error;
    }
  }

  function current(): T | undefined {
    const age = kept === undefined ? Number.POSITIVE_INFINITY : since(kept.at);
    const isDue = kept === undefined || age > kept.dueAfter;
    if (isDue && fetching === undefined && backoff.due()) fetchOnce(false).catch(() => undefined);
    return age > longestUse ? undefined : kept?.value;
  }

  return {
    current,

    async get() {
      const known = current();
      if (known !== undefined) return known;
      if (fetching === undefined) throw failure;
      return fetching;
    },

    async refetch() {
      if (fetching === undefined && triedAt !== undefined && since(triedAt) < pause) return;
      await fetchOnce(true);
    },

    async settled() {
      await fetching?.catch(() => undefined);
    },
  };
}
