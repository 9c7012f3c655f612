/** The one error of this package: why a token was refused, and how a service says so (RFC 6750 §3.1). */

/** Error names of OAuth: RFC 6750 §3.1, and RFC 6749 §4.1.2.1 for what is no fault of the token. */
export type OAuthError = 'invalid_request' | 'invalid_token' | 'insufficient_scope' | 'temporarily_unavailable';

interface Refusal {
  readonly error: OAuthError;
  readonly status: 400 | 401 | 403 | 503;
  /** Printable ASCII without `"` and `\`: fit for `error_description`. Repeats nothing of what was sent. */
  readonly message: string;
}

/** Every refusal there is. */
const refusals = {
  /** The request carries no token. An answer names no error then, only the scheme (RFC 6750 §3). */
  token_missing: { error: 'invalid_token', status: 401, message: 'an access token is required' },
  request_malformed: {
    error: 'invalid_request',
    status: 400,
    message: 'the request must carry one access token, in one place',
  },
  token_malformed: { error: 'invalid_token', status: 401, message: 'the token is not a well-formed access token' },
  type_mismatch: { error: 'invalid_token', status: 401, message: 'the token is not an access token' },
  algorithm_mismatch: { error: 'invalid_token', status: 401, message: 'the algorithm is not the one of the key' },
  key_unknown: { error: 'invalid_token', status: 401, message: 'the token is signed with an unknown key' },
  signature_invalid: { error: 'invalid_token', status: 401, message: 'the signature does not match' },
  claims_invalid: { error: 'invalid_token', status: 401, message: 'a claim is missing or of a wrong type' },
  issuer_mismatch: { error: 'invalid_token', status: 401, message: 'the token is from another issuer' },
  audience_mismatch: { error: 'invalid_token', status: 401, message: 'the token is for another service' },
  token_expired: { error: 'invalid_token', status: 401, message: 'the token has expired' },
  token_not_yet_valid: { error: 'invalid_token', status: 401, message: 'the token is not valid yet' },
  token_revoked: { error: 'invalid_token', status: 401, message: 'the token has been revoked' },
  scope_missing: { error: 'insufficient_scope', status: 403, message: 'the token lacks a scope' },
  role_missing: { error: 'insufficient_scope', status: 403, message: 'the token lacks a role' },
  permission_missing: { error: 'insufficient_scope', status: 403, message: 'the token lacks a permission' },
  csrf_mismatch: { error: 'invalid_request', status: 403, message: 'the X-CSRF-Token header does not fit the token' },
  keys_unavailable: { error: 'temporarily_unavailable', status: 503, message: 'the keys of the issuer are not known' },
  revocations_stale: {
    error: 'temporarily_unavailable',
    status: 503,
    message: 'what is known of revocations is too old',
  },
  verifier_closed: { error: 'temporarily_unavailable', status: 503, message: 'the service is stopping' },
} satisfies Record<string, Refusal>;

/** Stable from version to version; the messages are for people and are not. */
export type TokenErrorCode = keyof typeof refusals;

export interface TokenErrorOptions {
  /** What the service would have wanted: the `scope` attribute of the challenge (RFC 6750 §3), separated by spaces. */
  readonly scope?: string;
  /** What went wrong beneath, for the log of the service alone. */
  readonly cause?: unknown;
}

export class TokenError extends Error {
  readonly code: TokenErrorCode;
  readonly error: OAuthError;
  readonly status: Refusal['status'];
  /** The scope that is missing, where that is what is wrong. */
  readonly scope: string | undefined;

  constructor(code: TokenErrorCode, { scope, cause }: TokenErrorOptions = {}) {
    const { error, status, message } = refusals[code];
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'TokenError';
    this.code = code;
    this.error = error;
    this.status = status;
    this.scope = scope;
  }
}
