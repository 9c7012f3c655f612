import type { Client } from '../protocol/client.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { Database } from '../store/database.ts';
import type { Authorization } from '../tokens/authorization.ts';
import type { Revoker } from '../tokens/revocation.ts';

/** A token request, as a grant type sees it: neither HTTP nor keys. */
export interface GrantRequest {
  /** Authenticated, enabled, and registered for this grant type. */
  readonly client: Client;
  /** The value of a parameter of the request; undefined where it is absent or empty (RFC 6749 §3.2). */
  parameter(name: string): string | undefined;
  readonly now: NumericDate;
}

/** What a grant type may use. */
export interface GrantServices {
  readonly database: Database;
  readonly revoker: Revoker;
  /** How long a grant lives after its code is redeemed. */
  grantLife(client: Client): Seconds;
}

/** A grant type (RFC 6749 §1.3): what there is to be proved before a token is issued. */
export interface GrantType {
  /** The value of `grant_type`. */
  readonly name: string;
  /** Proves the grant, or throws the `ProtocolError` that the client is to see. */
  redeem(request: GrantRequest, services: GrantServices): Authorization | Promise<Authorization>;
}
