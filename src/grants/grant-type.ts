import type { Client } from '../protocol/client.ts';
import type { Observation, Whence } from '../protocol/observation.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { Database } from '../store/database.ts';
import type { RefreshGate } from '../store/refresh-gate.ts';
import type { Authorization } from '../tokens/authorization.ts';
import type { Revoker } from '../tokens/revocation.ts';
import type { TokenReader } from '../tokens/verification.ts';

/** A token request, as a grant type sees it: neither HTTP nor keys. */
export interface GrantRequest {
  /** Authenticated, enabled, and registered for this grant type. */
  readonly client: Client;
  /** The value of a parameter of the request; undefined where it is absent or empty (RFC 6749 §3.2). */
  parameter(name: string): string | undefined;
  readonly now: NumericDate;
  whence(): Whence;
  /** The SHA-256 of the value that came beside a token in a cookie; undefined for a token that came by itself. */
  readonly csrf?: string;
}

/** What a grant type may use. */
export interface GrantServices {
  readonly database: Database;
  readonly revoker: Revoker;
  readonly reader: TokenReader;
  readonly refreshGate: RefreshGate;
  /** How long a grant lives after its code is redeemed. */
  grantLife(client: Client): Seconds;
  /** How long a grant lives without being refreshed. */
  readonly refreshIdle: Seconds;
  /** How long after a rotation a repeated request gets the same answer. */
  readonly refreshGrace: Seconds;
  /** Told, if given, of a code or a replaced refresh token that came a second time. */
  readonly onReuse?: ((token: 'code' | 'refresh_token') => void) | undefined;
  /** Told of what may speak of an attack. Resolves when what there is to tell of it is written down. */
  observe(observation: Observation): Promise<void>;
}

/** A grant type (RFC 6749 §1.3): what there is to be proved before a token is issued. */
export interface GrantType {
  /** The value of `grant_type`. */
  readonly name: string;
  /** Proves the grant, or throws the `ProtocolError` that the client is to see. */
  redeem(request: GrantRequest, services: GrantServices): Authorization | Promise<Authorization>;
  /**
   * What `redeem` would prove, without using anything up; undefined where it would not. Asked first where the client
   * narrows what it wants, so that a slip there costs it nothing.
   */
  preview?(request: GrantRequest, services: GrantServices): Promise<Authorization | undefined>;
}
