import type { Seconds } from '../../protocol/time.ts';
import type { Rule } from '../rule.ts';

/**
 * So many refreshes, each from another network than the one before. Who holds a grant alone refreshes when an access token
 * is about to expire, some three times in two of its lives, and can have come from elsewhere no more often; two who take
 * turns come four times. So a phone that changes networks, a carrier that changes addresses, a service that stands in two
 * data centres are below it.
 */
export const turns = 4;

export function grantInTwoPlaces(accessTokenTtl: Seconds): Rule {
  const window = 2 * accessTokenTtl;
  return {
    name: 'grant-in-two-places',
    judge(sight) {
      if (sight.kind !== 'refresh') return undefined;
      const { at, comings, grantId, userId, clientId, whence } = sight;
      const count = comings.filter((coming) => coming.at > at - window).length;
      // What was found stays found while nothing moves, so only who has just come is looked at.
      if (count < turns || comings[0]?.at !== at) return undefined;
      const networks = [...new Set(comings.map(({ network }) => network))].join(', ');
      const reason = `one grant was refreshed in turns from ${networks}`;
      return { target: `grant ${grantId}`, grantId, userId, clientId, address: whence.ip, reason, count, window };
    },
  };
}
