/** Reads tokens that come back to the issuer: whoever shows them, and whatever for, by the same checks. */

import { createPublicKey, type KeyObject } from 'node:crypto';
import type { Denylist } from '@keyturn/verifier/denylist';
import { algorithm } from '../crypto/algorithms.ts';
import { createVerificationQueue } from '../keys/verification-queue.ts';
import { ProtocolError } from '../protocol/error.ts';
import type { SigningKey } from '../protocol/signing-key.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { AccessTokenClaims, IdTokenClaims, RefreshTokenClaims } from './claims.ts';

/**
 * Told of a token that says it is ours and still good, which a key of nobody's or none of its signature is right for. Not of one
 * that is over, whoever signed it: that one is worth nothing, and keys are forgotten some time after it.
 */
export type OnForged = () => void;

export interface TokenReader {
  /**
   * The claims of an access token, whomever it is for; undefined for one that is expired, revoked or none of ours. By what
   * a verifier knows, and no more.
   */
  accessToken(text: string, onForged?: OnForged): Promise<AccessTokenClaims | undefined>;
  /**
   * The same where it has to be for the issuer itself. Throws `invalid_token` (RFC 6750 §3.1) for one that is
   * expired, revoked, for others alone, or none of ours.
   */
  requireAccessToken(text: string, onForged?: OnForged): Promise<AccessTokenClaims>;
  /** The claims of a refresh token; undefined for one that is expired, by a revoked key, or none of ours. */
  refreshToken(text: string, onForged?: OnForged): Promise<RefreshTokenClaims | undefined>;
  /** The claims of an ID token of ours, expired or not; undefined for any other text. */
  idTokenHint(text: string): Promise<IdTokenClaims | undefined>;
}

export interface TokenReaderOptions {
  readonly issuer: string;
  /** All keys, those too that are no longer published. */
  keys(): readonly SigningKey[];
  readonly denylist: Pick<Denylist, 'isVoid'>;
  now(): NumericDate;
}

/** No token of ours is longer. */
const longestToken = 16_384;

/** A clock may be so far ahead of ours. */
const tolerance: Seconds = 5;

export function createTokenReader({ issuer, keys, denylist, now }: TokenReaderOptions): TokenReader {
  const isGenuine = createVerificationQueue();
  const publicKeys = new WeakMap<SigningKey, KeyObject>();

  /** Prepared once: making it takes as long as a verification does. */
  function publicKeyOf(key: SigningKey): KeyObject {
    let publicKey = publicKeys.get(key);
    if (publicKey === undefined) {
      publicKey = createPublicKey({ key: key.publicJwk, format: 'jwk' });
      publicKeys.set(key, publicKey);
    }
    return publicKey;
  }

  /** Claims and key of a token with our signature and that type; undefined for anything else. */
  async function read(
    text: string,
    typ: string,
    onForged?: OnForged,
  ): Promise<{ key: SigningKey; claims: unknown } | undefined> {
    const [header = '', payload = '', signature = ''] = text.length > longestToken ? [] : strictParts(text);
    try {
      const { alg, kid, crit, typ: itsType } = parse(header);
      // The algorithm is the key's, never the token's (RFC 8725 §3.1), and the key is one of ours.
      const key = keys().find((candidate) => candidate.kid === kid && candidate.alg === alg);
      if (key?.revokedAt || itsType !== typ || crit !== undefined) return undefined;
      if (key === undefined) return forged(payload, onForged);
      const signed = { algorithm: algorithm(key.alg), key: publicKeyOf(key), signature };
      const genuine = await isGenuine({ ...signed, signingInput: `${header}.${payload}` });
      return genuine ? { key, claims: parse(payload) } : forged(payload, onForged);
    } catch {
      return undefined;
    }
  }

  function forged(payload: string, onForged: OnForged | undefined): undefined {
    if (onForged === undefined) return;
    const { iss, exp } = parse(payload);
    if (iss === issuer && now() < exp) onForged();
  }

  async function accessToken(text: string, onForged?: OnForged): Promise<AccessTokenClaims | undefined> {
    const found = await read(text, 'at+jwt', onForged);
    if (found === undefined) return undefined;
    const claims = found.claims as AccessTokenClaims;
    const alive = claims.iss === issuer && now() < claims.exp && claims.iat <= now() + tolerance;
    return alive && !denylist.isVoid(found.key.kid, claims) ? claims : undefined;
  }

  return {
    accessToken,

    async requireAccessToken(text, onForged) {
      const claims = await accessToken(text, onForged);
      if (claims !== undefined && [claims.aud].flat().includes(issuer)) return claims;
      throw new ProtocolError('invalid_token', 'the access token is expired, revoked or not for this service');
    },

    async refreshToken(text, onForged) {
      const claims = (await read(text, 'rt+jwt', onForged))?.claims as RefreshTokenClaims | undefined;
      return claims?.iss === issuer && claims.aud === issuer && now() < claims.exp ? claims : undefined;
    },

    async idTokenHint(text) {
      const claims = (await read(text, 'JWT'))?.claims as IdTokenClaims | undefined;
      return claims?.iss === issuer ? claims : undefined;
    },
  };
}

/** The parts of a token in its one spelling: what decodes to the same bytes in another is none (RFC 8725 §2.4, RFC 4648 §3.5). */
function strictParts(text: string): string[] {
  const parts = text.split('.');
  const strict = parts.every((part) => Buffer.from(part, 'base64url').toString('base64url') === part);
  return strict && parts.length === 3 ? parts : [];
}

/** The JSON of a part, or throws. */
function parse(part: string) {
  return JSON.parse(Buffer.from(part, 'base64url').toString());
}
