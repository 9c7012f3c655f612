import type { NumericDate } from './time.ts';

/** What a person's sign-in and consent let one client do. Its generation 0 is the authorization code. */
export interface Grant {
  /** 128 random bits. Never leaves the issuer but inside codes and refresh tokens. */
  readonly id: string;
  readonly userId: string;
  readonly clientId: string;
  /** The session it ends with; null for offline access (OpenID Connect Core §11). */
  readonly sessionId: string | null;
  /** The session it began in: the `sid` of ID tokens. */
  readonly sid: string | null;
  readonly scope: readonly string[];
  /** Audiences, the default first. */
  readonly resources: readonly string[];
  readonly authTime: NumericDate;
  readonly amr: readonly string[];
  /** The user's and the client's `grantEpoch` when it was made. */
  readonly userEpoch: number;
  readonly clientEpoch: number;
  readonly nonce: string | null;
}

/** A grant that has just been redeemed, and what tokens say of its user. */
export interface RedeemedGrant {
  readonly grant: Grant;
  /** The generation that its next refresh token has. */
  readonly generation: number;
  /** When the grant is over, however often it is refreshed. */
  readonly expiresAt: NumericDate;
  readonly user: { readonly epoch: number; readonly roles: readonly string[] };
}
