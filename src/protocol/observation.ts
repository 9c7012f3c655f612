/** What happens at the issuer that may speak of an attack. Whether it does is for rules to say. */
import type { NumericDate } from './time.ts';

/** Where a request comes from. */
export interface Whence {
  /** The IP address, for the record; null where none is known. */
  readonly ip: string | null;
  /** What limits count as one address; undefined where that says nothing of who asks. */
  readonly address: string | undefined;
  /** What who moves about stays in: an IPv4 /24, an IPv6 /48. Undefined where the address says nothing of who asks. */
  readonly network: string | undefined;
}

/** A network that a grant was refreshed from, after another one. */
export interface Coming {
  readonly network: string;
  readonly at: NumericDate;
}

interface OfGrant {
  readonly at: NumericDate;
  readonly whence: Whence;
  readonly grantId: string;
  readonly userId: string;
  readonly clientId: string;
}

/** A refresh token that had been replaced, or a code that had been redeemed, came again with all its proof. */
export interface Reused extends OfGrant {
  readonly kind: 'refresh token reuse' | 'code replay';
}

/** A grant was refreshed. */
export interface Refreshed extends OfGrant {
  readonly kind: 'refresh';
  /** The last few changes of network, the latest first. */
  readonly comings: readonly Coming[];
}

/** A sign-in failed. */
export interface FailedSignIn {
  readonly kind: 'failed sign-in';
  readonly at: NumericDate;
  readonly whence: Whence;
  /** Undefined where there is no such account. */
  readonly userId: string | undefined;
  /** At how many accounts sign-ins from that address have failed of late, on all instances; 0 where that is not counted. */
  readonly accounts: number;
  /** From how many networks sign-ins to that account have failed of late; 0 where that is not counted. */
  readonly networks: number;
}

/**
 * A token that would be good but for its signature: the issuer is us and its time is not over, and nobody's key, or none of
 * ours, has signed it.
 */
export interface ForgedToken {
  readonly kind: 'forged token';
  readonly at: NumericDate;
  readonly whence: Whence;
  /** The client that asked about it; undefined where whoever holds it showed it. */
  readonly clientId: string | undefined;
}

export type Observation = Reused | Refreshed | FailedSignIn | ForgedToken;
