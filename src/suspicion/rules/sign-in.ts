import type { Seconds } from '../../protocol/time.ts';
import type { Rule } from '../rule.ts';

/** How long what fails at sign-in is counted together: lists of passwords are tried within minutes, or slowly to stay below. */
export const signInWindow: Seconds = 3600;

/**
 * Accounts at which sign-ins from one address have failed. Fewer than the 30 failures after which an address has to wait, or
 * nobody would get there; more than an office of forty mistypes in an hour, of which browsers that have signed in before are
 * not counted.
 */
export const mostAccounts = 20;

/** One address tries its way through accounts (credential stuffing, password spraying). */
export const manyAccounts: Rule = {
  name: 'many-accounts',
  judge(sight) {
    if (sight.kind !== 'failed sign-in' || sight.accounts < mostAccounts) return undefined;
    const { address, ip } = sight.whence;
    const reason = `sign-ins to ${sight.accounts} accounts failed from one address`;
    return {
      target: `address ${inFull(address ?? '')}`,
      address: ip,
      reason,
      count: sight.accounts,
      window: signInWindow,
    };
  },
};

/**
 * Networks from which sign-ins to one account have failed, in browsers that are new to it. A person has a home, a phone and
 * a place of work; beyond the fifth failure there is a wait, so that an attacker gets some eighteen tries in the hour.
 */
export const mostNetworks = 6;

/** Many addresses guess at one account. Of accounts that do not exist nothing is told: there is nobody to protect. */
export const manyAddresses: Rule = {
  name: 'many-addresses',
  judge(sight) {
    if (sight.kind !== 'failed sign-in' || sight.networks < mostNetworks || sight.userId === undefined)
      return undefined;
    const { userId, networks: count, whence } = sight;
    const reason = `sign-ins to one account failed from ${count} networks`;
    return { target: `user ${userId}`, userId, address: whence.ip, reason, count, window: signInWindow };
  },
};

/** What counts as one IPv6 address is a /64. */
export function inFull(address: string): string {
  return address.includes(':') ? `${address}::/64` : address;
}
