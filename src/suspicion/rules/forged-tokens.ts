import type { Seconds } from '../../protocol/time.ts';
import type { Rule } from '../rule.ts';
import { inFull } from './sign-in.ts';

/** How long they are counted together: a burst, not what trickles in. */
export const forgeryWindow: Seconds = 300;

/**
 * No software of ours makes one such token, so few would do; but a mistake in a deployment, such as a service that a
 * development issuer of the same name serves, should not be an alarm with its first requests.
 */
export const mostForgeries = 50;

/** A client asks about, or an address shows, tokens in our name that we have not signed. */
export const forgedTokens: Rule = {
  name: 'forged-tokens',
  judge(sight) {
    if (sight.kind !== 'forged token' || sight.count < mostForgeries) return undefined;
    const { clientId, count, whence } = sight;
    const target = clientId === undefined ? `address ${inFull(whence.address ?? '')}` : `client ${clientId}`;
    const reason = `${count} tokens came in our name that we have not signed`;
    return {
      target,
      ...(clientId !== undefined && { clientId }),
      address: whence.ip,
      reason,
      count,
      window: forgeryWindow,
    };
  },
};
