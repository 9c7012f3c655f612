import type { Client } from '../protocol/client.ts';
import { ProtocolError } from '../protocol/error.ts';
import type { RedeemedGrant } from '../protocol/grant.ts';
import { findGrant, type RefreshProof } from '../store/grant.ts';
import type { RefreshedGrant } from '../store/refresh-gate.ts';
import type { Authorization } from '../tokens/authorization.ts';
import type { GrantRequest, GrantServices, GrantType } from './grant-type.ts';
import { authorizationOf } from './redeemed.ts';
import { endReused } from './reused.ts';

/**
 * RFC 6749 §6 with RFC 9700 §4.14.2: each use replaces the refresh token by the next generation. A client whose answer was
 * lost may ask again for a short while and gets the same successor; a token that was replaced before that is in two hands,
 * and the grant ends. What is narrowed (scope, resource) is so in the access token alone.
 */
export const refreshToken: GrantType = {
  name: 'refresh_token',

  async redeem(request, services) {
    const proof = await readProof(request, services);
    const refreshed = await services.refreshGate.redeem(proof);
    if (refreshed !== undefined) notice(refreshed, request, services);
    const redeemed = refreshed ?? (await repeat(proof, request, services));
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

async function readProof(
  { client, parameter, csrf, whence }: GrantRequest,
  { reader }: GrantServices,
): Promise<RefreshProof> {
  const text = parameter('refresh_token');
  if (text === undefined) throw new ProtocolError('invalid_request', 'refresh_token is missing');
  const claims = await reader.refreshToken(text);
  // A token made for a cookie works with its CSRF value alone, and nowhere but where cookies do.
  if (claims === undefined || claims.client_id !== client.id || claims.csrf !== csrf) throw refusal();
  const { gid: grantId, gen: generation } = claims;
  return { grantId, generation, clientId: client.id, rotates: mustRotate(client), network: whence().network };
}

/** A public client's token may be anybody's, so it always rotates. */
function mustRotate({ refreshRotates, authMethod }: Client): boolean {
  return refreshRotates || authMethod === 'none';
}

/**
 * A token that did not redeem. Exactly one generation behind and within the grace is a request repeated; anything else
 * that is behind is in two hands.
 */
async function repeat(proof: RefreshProof, request: GrantRequest, services: GrantServices): Promise<RedeemedGrant> {
  const standing = await findGrant(services.database, proof, request.now, services.refreshGrace);
  const behind = standing === undefined ? 0 : standing.generation - proof.generation;
  if (standing !== undefined && behind === 1 && proof.generation >= 1 && standing.recent) return standing;
  if (standing !== undefined && behind > 0) {
    const { userId } = standing.grant;
    await endReused('refresh token reuse', { grantId: proof.grantId, userId }, request, services);
  }
  throw refusal();
}

/** Nobody's answer waits for what comes of it. */
function notice(
  { grant, comings }: RefreshedGrant,
  { now: at, whence }: GrantRequest,
  { observe }: GrantServices,
): void {
  const { id: grantId, userId, clientId } = grant;
  void observe({ kind: 'refresh', at, whence: whence(), grantId, userId, clientId, comings });
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
