import type { NumericDate, Seconds } from './time.ts';

/** How a client proves who it is at the token endpoint (RFC 6749 §2.3.1, OpenID Connect Core §9). */
export const clientAuthMethods = ['client_secret_basic', 'client_secret_post'] as const;
export type ClientAuthMethod = (typeof clientAuthMethods)[number];

/** An OAuth client (RFC 6749 §2), as every room but the store sees it. */
export interface Client {
  readonly id: string;
  /** For people: pages and lists. */
  readonly name: string;
  readonly authMethod: ClientAuthMethod;
  /** SHA-256 digests of the current secret and, perhaps, of the one before. */
  readonly secretDigests: readonly string[];
  /** Until when the second digest is good; null where there is none. */
  readonly previousSecretExpiresAt: NumericDate | null;
  readonly grantTypes: readonly string[];
  readonly scopes: readonly string[];
  /** Identifiers of the resource services it may ask tokens for; the first is the default (RFC 8707). */
  readonly resources: readonly string[];
  /** Access tokens stamped with a lower epoch are void. */
  readonly epoch: number;
  readonly disabledAt: NumericDate | null;
}

/** A resource service: the audience of access tokens (RFC 8707, RFC 9068 §2.2). */
export interface Resource {
  /** Its audience URI. */
  readonly identifier: string;
  /** Scope token → what it means to a person (empty where nobody said). */
  readonly scopes: Readonly<Record<string, string>>;
  /** The algorithm that signs its access tokens. */
  readonly alg: string;
  /** Life of its access tokens; null: the issuer's default. */
  readonly accessTtl: Seconds | null;
}
