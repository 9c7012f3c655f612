import type { Reused } from '../../protocol/observation.ts';
import type { RuleName } from '../../protocol/suspicion.ts';
import type { Rule } from '../rule.ts';

/**
 * A refresh token that was replaced longer ago than `REFRESH_GRACE`, or a code that was redeemed, is in two hands (RFC 9700
 * §4.14.2, RFC 6749 §4.1.2). Once is enough: whoever sent it could sign for it. The grant ends.
 */
function reuse(name: RuleName, kind: Reused['kind'], reason: string): Rule {
  return {
    name,
    judge(sight) {
      if (sight.kind !== kind) return undefined;
      const { grantId, userId, clientId, whence } = sight;
      return { target: `grant ${grantId}`, grantId, userId, clientId, address: whence.ip, reason };
    },
  };
}

export const refreshTokenReuse = reuse(
  'refresh-token-reuse',
  'refresh token reuse',
  'a refresh token came again that had been replaced: the grant has ended',
);

export const codeReplay = reuse(
  'code-replay',
  'code replay',
  'an authorization code came again that had been redeemed: the grant has ended',
);
