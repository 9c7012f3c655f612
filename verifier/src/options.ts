/** What a service calls and gives: the outside of the verifier. */
import type { AccessTokenClaims } from './claims.ts';

export type Seconds = number;
export type Milliseconds = number;

/**
 * Signature algorithms that a key may be for: RFC 7518 §3.1, RFC 9864, and RFC 9964 for ML-DSA, where the platform
 * knows it.
 */
export type Algorithm = 'ES256' | 'RS256' | 'PS256' | 'Ed25519' | 'ML-DSA-44';

export interface VerifierOptions {
  /** The issuer, letter by letter as its tokens name it: https, or http on this very machine. */
  readonly issuer: string;
  /** The identifier of this service; a token has to be for it, or for one of them where it has several. */
  readonly audience: string | readonly string[];
  /** Which algorithms are accepted: ES256 and RS256 by default, those that every issuer has. */
  readonly algorithms?: readonly Algorithm[];
  /** How old what is known of revocations may become, 600 by default: the life of an access token. */
  readonly maxStaleness?: Seconds;
  /** What happens to tokens past that age: they are refused with `revocations_stale` (the default), or accepted. */
  readonly whenStale?: 'refuse' | 'accept';
  /** Told once each time when what is known has become too old. */
  readonly onStale?: (revocations: RevocationStatus) => void;
  /** `optional`: work without revocations where the issuer's metadata names no feed of them. By default it must. */
  readonly revocations?: 'required' | 'optional';
  /**
   * A client of the issuer's, with its secret: its streams have places of their own. Needed only where more than some
   * twenty verifiers reach the issuer from one address; those that find no place ask every second instead.
   */
  readonly client?: { readonly id: string; readonly secret: string };
  /** Stands in for the global one: a proxy, a certificate, a test. */
  readonly fetch?: typeof fetch;
  /** The wall clock, `Date.now` by default. */
  readonly now?: () => Milliseconds;
  /** A clock that nobody sets, `performance.now` by default. */
  readonly monotonic?: () => Milliseconds;
}

export interface RevocationStatus {
  /** How news come at the moment. */
  readonly source: 'stream' | 'polling' | 'none';
  /** How many revocations are known. */
  readonly entries: number;
  /** The position in the feed; null before the first reading. */
  readonly position: string | null;
  /** The age of what is known; null before the first reading. */
  readonly staleness: Seconds | null;
  /** Whether that is older than it may be. */
  readonly stale: boolean;
}

export interface VerifierStatus {
  /** The keys in use. */
  readonly kids: readonly string[];
  readonly revocations: RevocationStatus;
}

export interface Verifier {
  readonly issuer: string;
  /** The identifiers of the service, one or more. */
  readonly audiences: readonly string[];
  /**
   * The claims of a good access token. Rejects with a `TokenError` for any other text, and with nothing else. Asks
   * nobody, except that the first calls wait for the issuer's keys and revocations.
   */
  verify(token: string): Promise<AccessTokenClaims>;
  /** Resolves once keys and revocations are known; rejects with a `TokenError` where they cannot be had now. */
  ready(): Promise<void>;
  status(): VerifierStatus;
  /** Ends the feed and every timer; resolves when nothing is left of them. `verify` refuses from then on. */
  close(): Promise<void>;
}
