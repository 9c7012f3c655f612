/**
 * Slows down who guesses passwords. Failures are counted per account and per address, so that many accounts from one
 * address are as slow as one account from many. What an attacker does to an account keeps out nobody whose browser has
 * signed in to it before: such a browser has a count of its own. Pure; knows neither tables nor cookies.
 */
import { digestSecret } from '../crypto/handle.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { Failures } from '../store/sign-in-attempt.ts';

/** Who tries: where from, and by which browser, where that has signed in to this account before. */
export interface Attempt {
  /** The IP address, for the record; null where none is known. */
  readonly from: string | null;
  /** What counts as one address; undefined where that says nothing of who tries. */
  readonly address: string | undefined;
  /** The id of a browser that knows the account. */
  readonly knownBrowser: string | undefined;
}

/** How many failures are nobody's business. An address may stand for a whole office. */
const free = { account: 5, browser: 5, address: 30 };

/** The longest that anybody has to wait. */
const longestWait: Seconds = 900;

/** After so long without another failure, counting begins anew. */
export const countedFor: Seconds = 3600 + longestWait;

/** What an attempt is counted under, with the number of failures that is free. The account is as it was typed, but folded. */
export function keysOf(account: string, { address, knownBrowser }: Attempt): Map<string, number> {
  if (knownBrowser !== undefined) {
    return new Map([[digestSecret(`browser\0${knownBrowser}\0${account}`), free.browser]]);
  }
  const keys = new Map([[digestSecret(`account\0${account}`), free.account]]);
  if (address !== undefined) keys.set(digestSecret(`address\0${address}`), free.address);
  return keys;
}

/** How long the next attempt has to wait: a second after the first that is not free, then twice as long each time. */
export function waitOf(keys: ReadonlyMap<string, number>, failures: readonly Failures[], now: NumericDate): Seconds {
  const waits = failures.map(({ key, failures: count, failedAt }) => {
    if (failedAt < now - countedFor) return 0;
    const beyond = count - (keys.get(key) ?? 0);
    return beyond <= 0 ? 0 : failedAt + Math.min(longestWait, 2 ** (beyond - 1)) - now;
  });
  return Math.max(0, ...waits.map(Math.ceil));
}
