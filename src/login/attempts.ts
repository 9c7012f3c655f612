/**
 * Slows down who guesses passwords. Failures are counted per account and per address, so that many accounts from one
 * address are as slow as one account from many. What an attacker does to an account keeps out nobody whose browser has
 * signed in to it before: such a browser has a count of its own. Pure; knows neither tables nor cookies.
 */
import { digestSecret } from '../crypto/handle.ts';
import type { Whence } from '../protocol/observation.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { FailureKey, Failures } from '../store/sign-in-attempt.ts';

/** Who tries: where from, and by which browser, where that has signed in to this account before. */
export interface Attempt {
  readonly whence: Whence;
  /** The id of a browser that knows the account. */
  readonly knownBrowser: string | undefined;
}

/** How many failures are nobody's business. An address may stand for a whole office. */
const free = { account: 5, browser: 5, address: 30 };

/** The longest that anybody has to wait. */
const longestWait: Seconds = 900;

/** What fails within so long is looked at together: how many accounts of an address, how many networks of an account. */
export const seenTogether: Seconds = 3600;

/** After so long without another failure, counting begins anew. */
export const countedFor: Seconds = 3600 + longestWait;

/** What an attempt is counted under. */
export interface AttemptKey extends FailureKey {
  readonly of: keyof typeof free;
}

/** The account is as it was typed, but folded. A browser that knows it is not a sign of anything else. */
export function keysOf(account: string, { whence: { address, network }, knownBrowser }: Attempt): AttemptKey[] {
  if (knownBrowser !== undefined)
    return [{ of: 'browser', key: digestSecret(`browser\0${knownBrowser}\0${account}`), other: null }];
  const other = network === undefined ? null : asNumber(network);
  const keys: AttemptKey[] = [{ of: 'account', key: digestSecret(`account\0${account}`), other }];
  if (address !== undefined)
    keys.push({ of: 'address', key: digestSecret(`address\0${address}`), other: asNumber(account) });
  return keys;
}

/** Enough to tell a hundred of them apart, and too little to tell what it was. */
function asNumber(name: string): number {
  return Buffer.from(digestSecret(name), 'base64url').readInt32BE();
}

/** How long the next attempt has to wait: a second after the first that is not free, then twice as long each time. */
export function waitOf(keys: readonly AttemptKey[], failures: readonly Failures[], now: NumericDate): Seconds {
  const freeOf = new Map(keys.map((one) => [one.key, free[one.of]]));
  const waits = failures.map(({ key, failures: count, failedAt }) => {
    if (failedAt < now - countedFor) return 0;
    const beyond = count - (freeOf.get(key) ?? 0);
    return beyond <= 0 ? 0 : failedAt + Math.min(longestWait, 2 ** (beyond - 1)) - now;
  });
  return Math.max(0, ...waits.map(Math.ceil));
}
