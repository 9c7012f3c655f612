import type { NumericDate, Seconds } from './time.ts';

/**
 * How a client proves who it is at the token endpoint (RFC 6749 §2.3.1, OpenID Connect Core §9). A public client, one
 * that cannot keep a secret, has `none` (RFC 6749 §2.1).
 */
export const clientAuthMethods = ['client_secret_basic', 'client_secret_post', 'none'] as const;
export type ClientAuthMethod = (typeof clientAuthMethods)[number];

/** An OAuth client (RFC 6749 §2), as every room but the store sees it. */
export interface Client {
  readonly id: string;
  /** For people: pages and lists. */
  readonly name: string;
  readonly authMethod: ClientAuthMethod;
  /** SHA-256 digests of the current secret and, perhaps, of some before it. */
  readonly secretDigests: readonly string[];
  /** Until when the digests after the first are good; null where there is none. */
  readonly previousSecretExpiresAt: NumericDate | null;
  readonly grantTypes: readonly string[];
  readonly redirectUris: readonly string[];
  readonly postLogoutRedirectUris: readonly string[];
  /** Where the client is told that a session has ended (OpenID Connect Back-Channel Logout §2.2). */
  readonly backchannelLogoutUri: string | null;
  /** Web origins whose pages may call the token endpoint and userinfo, and `/session` of a first-party client. */
  readonly origins: readonly string[];
  readonly scopes: readonly string[];
  /** Identifiers of the resource services it may ask tokens for; the first is the default (RFC 8707). */
  readonly resources: readonly string[];
  /** Audiences whose tokens it may introspect. */
  readonly serves: readonly string[];
  /** May sign people in by `/session`, with tokens in cookies. */
  readonly firstParty: boolean;
  /** The Domain attribute of those cookies; null: host-only. */
  readonly cookieDomain: string | null;
  /** People are not asked for consent: the client is trusted by whoever runs the issuer. */
  readonly skipConsent: boolean;
  readonly pkceRequired: boolean;
  readonly idTokenAlg: string;
  /** Whether a refresh token is replaced when it is used (RFC 9700 §4.14.2). */
  readonly refreshRotates: boolean;
  /** Access tokens stamped with a lower epoch are void. */
  readonly epoch: number;
  /** Grants stamped with a lower epoch redeem nothing. At most `epoch`. */
  readonly grantEpoch: number;
  readonly disabledAt: NumericDate | null;
}

/** All of a client's grants end, and its access tokens are void. */
export function endClientGrants({ epoch }: Client): Pick<Client, 'epoch' | 'grantEpoch'> {
  return { epoch: epoch + 1, grantEpoch: epoch + 1 };
}

/** The client is let in no more. Nothing changes where it is disabled already. */
export function disableClient(client: Client, now: NumericDate): Partial<Client> {
  return client.disabledAt === null ? { disabledAt: now, ...endClientGrants(client) } : {};
}

/** Digests of the secrets that are good. */
export function goodSecretDigests(
  { secretDigests, previousSecretExpiresAt }: Pick<Client, 'secretDigests' | 'previousSecretExpiresAt'>,
  now: NumericDate,
): readonly string[] {
  return previousSecretExpiresAt !== null && now < previousSecretExpiresAt ? secretDigests : secretDigests.slice(0, 1);
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

/** What a client is where nobody has said otherwise. */
export const clientDefaults: Omit<Client, 'id' | 'name' | 'secretDigests'> = {
  authMethod: 'client_secret_basic',
  previousSecretExpiresAt: null,
  grantTypes: [],
  redirectUris: [],
  postLogoutRedirectUris: [],
  backchannelLogoutUri: null,
  origins: [],
  scopes: [],
  resources: [],
  serves: [],
  firstParty: false,
  cookieDomain: null,
  skipConsent: false,
  pkceRequired: true,
  idTokenAlg: 'RS256',
  refreshRotates: true,
  epoch: 0,
  grantEpoch: 0,
  disabledAt: null,
};
