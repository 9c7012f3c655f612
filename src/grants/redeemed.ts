import type { Client } from '../protocol/client.ts';
import type { RedeemedGrant } from '../protocol/grant.ts';
import type { NumericDate } from '../protocol/time.ts';
import type { Authorization } from '../tokens/authorization.ts';

/** What a redeemed grant proves. Its refresh token, where the client may have one, is good until `idleUntil` at most. */
export function authorizationOf(client: Client, redeemed: RedeemedGrant, idleUntil: NumericDate): Authorization {
  const { grant, generation, expiresAt, user } = redeemed;
  const refresh = { generation, expiresAt: Math.min(expiresAt, Math.floor(idleUntil)) };
  return {
    client,
    subject: grant.userId,
    scope: grant.scope,
    resources: grant.resources,
    behind: { grant, ...user, ...(client.grantTypes.includes('refresh_token') && { refresh }) },
  };
}
