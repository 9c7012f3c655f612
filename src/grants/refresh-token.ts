import type { Client } from '../protocol/client.ts';
import { ProtocolError } from '../protocol/error.ts';
import type { RedeemedGrant } from '../protocol/grant.ts';
import { findGrant, type RefreshProof } from '../store/grant.ts';
import type { Authorization } from '../tokens/authorization.ts';
import type { GrantRequest, GrantServices, GrantType } from './grant-type.ts';
import { authorizationOf } from './redeemed.ts';

/**
 * RFC 6749 §6 with RFC 9700 §4.14.2: each use replaces the refresh token by the next generation. A client whose answer was
 * lost may ask again for a short while and gets the same successor; a token that was replaced before that is in two hands,
 * and the grant ends. What is narrowed (scope, resource) is so in the access token alone.
 */
export const refreshToken: GrantType = {
  name: 'refresh_token',

  async redeem(request, services) {
    const proof = await readProof(request, services);
    const redeemed = (await services.refreshGate.redeem(proof)) ?? (await repeat(proof, request, services));
    return toAuthorization(request, redeemed, services);
  },

  async preview(request, services) {
    const proof = await readProof(request, services);
    const standing = await findGrant(services.database, proof, request.now, services.refreshGrace);
    return standing && toAuthorization(request, standing, services);
  },
};

function refusal(): ProtocolError {
  return new ProtocolError('invalid_grant', 'the refresh token is not valid, expired, revoked, or was replaced');
}

async function readProof({ client, parameter, csrf }: GrantRequest, { reader }: GrantServices): Promise<RefreshProof> {
  const text = parameter('refresh_token');
  if (text === undefined) throw new ProtocolError('invalid_request', 'refresh_token is missing');
  const claims = await reader.refreshToken(text);
  // A token made for a cookie works with its CSRF value alone, and nowhere but where cookies do.
  if (claims === undefined || claims.client_id !== client.id || claims.csrf !== csrf) throw refusal();
  const { gid: grantId, gen: generation } = claims;
  return { grantId, generation, clientId: client.id, rotates: mustRotate(client) };
}

/** A public client's token may be anybody's, so it always rotates. */
function mustRotate({ refreshRotates, authMethod }: Client): boolean {
  return refreshRotates || authMethod === 'none';
}

/**
 * A token that did not redeem. Exactly one generation behind and within the grace is a request repeated; anything else
 * that is behind is in two hands.
 */
async function repeat(
  proof: RefreshProof,
  { client, now }: GrantRequest,
  services: GrantServices,
): Promise<RedeemedGrant> {
  const { database, revoker, refreshGrace } = services;
  const standing = await findGrant(database, proof, now, refreshGrace);
  const behind = standing === undefined ? 0 : standing.generation - proof.generation;
  if (standing !== undefined && behind === 1 && proof.generation >= 1 && standing.recent) return standing;
  if (behind > 0) {
    services.onReuse?.('refresh_token');
    await revoker.by({ actor: `client ${client.id}`, address: null }).endGrant(proof.grantId, 'refresh token reuse');
  }
  throw refusal();
}

/** An ID token of a refresh says nothing of the request that began it all (OpenID Connect Core §12.2): no nonce. */
function toAuthorization(
  { client, now }: GrantRequest,
  redeemed: RedeemedGrant,
  services: GrantServices,
): Authorization {
  const grant = { ...redeemed.grant, nonce: null };
  return authorizationOf(client, { ...redeemed, grant }, now + services.refreshIdle);
}
