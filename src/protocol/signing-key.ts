import type { NumericDate } from './time.ts';

/** The public members of a key (RFC 7517 §4, RFC 7518 §6). */
export type PublicJwk = Readonly<Record<string, string>>;

/** A signing key as Postgres holds it. Its phase is not in here: it follows from these times and the clock. */
export interface SigningKey {
  /** RFC 7638 thumbprint of the public half. */
  readonly kid: string;
  readonly alg: string;
  readonly publicJwk: PublicJwk;
  /** The private half, sealed; null once erased. */
  readonly sealedPrivateJwk: string | null;
  readonly createdAt: NumericDate;
  readonly signsFrom: NumericDate;
  readonly revokedAt: NumericDate | null;
}
