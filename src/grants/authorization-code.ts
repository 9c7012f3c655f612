import { readCode } from '../crypto/code.ts';
import { digestSecret } from '../crypto/handle.ts';
import { ProtocolError } from '../protocol/error.ts';
import { isCodeVerifier } from '../protocol/pkce.ts';
import { type CodeProof, findCode, redeemCode, redeemedBy } from '../store/grant.ts';
import type { GrantRequest, GrantType } from './grant-type.ts';
import { authorizationOf } from './redeemed.ts';
import { endReused } from './reused.ts';

const refusal = 'the code is not valid, not for this client and request, or was used before';

/**
 * RFC 6749 §4.1.3 with RFC 7636: the code is the grant's generation 0, and works once. One that comes again with all its
 * proof is in two hands: the grant ends, and what it gave is void (RFC 6749 §4.1.2). One that comes without its proof
 * neither consumes nor ends anything, or whoever saw a code could sign people out.
 */
export const authorizationCode: GrantType = {
  name: 'authorization_code',

  async redeem(request, services) {
    const { database, grantLife, refreshIdle } = services;
    const { client, now } = request;
    const proof = readProof(request);
    const redeemed = await redeemCode(database, proof, now, now + grantLife(client));
    if (redeemed === undefined) {
      const userId = await redeemedBy(database, proof);
      if (userId !== undefined) await endReused('code replay', { grantId: proof.grantId, userId }, request, services);
      throw new ProtocolError('invalid_grant', refusal);
    }
    return authorizationOf(client, redeemed, now + refreshIdle);
  },

  async preview(request, { database, refreshIdle }) {
    const { client, now } = request;
    const found = await findCode(database, readProof(request), now);
    return found && authorizationOf(client, found, now + refreshIdle);
  },
};

/** Throws `invalid_request` without a code, `invalid_grant` for what cannot be one. */
function readProof({ client, parameter }: GrantRequest): CodeProof {
  const text = parameter('code');
  if (text === undefined) throw new ProtocolError('invalid_request', 'code is missing');
  const code = readCode(text);
  const verifier = parameter('code_verifier');
  if (code === undefined || (verifier !== undefined && !isCodeVerifier(verifier))) {
    throw new ProtocolError('invalid_grant', refusal);
  }
  return {
    grantId: code.grantId,
    codeDigest: code.digest,
    clientId: client.id,
    redirectUri: parameter('redirect_uri'),
    codeChallenge: verifier === undefined ? undefined : digestSecret(verifier),
  };
}
