/**
 * The errors a client may meet, and the one table from their code to an HTTP status.
 * Codes: RFC 6749 §4.1.2.1 and §5.2, RFC 8707 §2 (invalid_target), RFC 7009 §2.2.1, OpenID Connect Core §3.1.2.6, RFC 6750 §3.1.
 */
const statusOf = {
  invalid_request: 400,
  invalid_client: 400,
  invalid_grant: 400,
  unauthorized_client: 400,
  unsupported_grant_type: 400,
  unsupported_token_type: 400,
  invalid_scope: 400,
  invalid_target: 400,
  access_denied: 403,
  unsupported_response_type: 400,
  login_required: 400,
  consent_required: 400,
  interaction_required: 400,
  account_selection_required: 400,
  request_not_supported: 400,
  request_uri_not_supported: 400,
  registration_not_supported: 400,
  invalid_token: 401,
  insufficient_scope: 403,
  server_error: 500,
  temporarily_unavailable: 503,
} as const;

export type ErrorCode = keyof typeof statusOf;

export interface ErrorDetails {
  /** The value of `WWW-Authenticate`. `invalid_client` with a challenge is a 401 (RFC 6749 §5.2, RFC 9110 §15.5.2). */
  challenge?: string;
  /** Seconds after which trying again is worth it. */
  retryAfter?: number;
  /** It is the caller who asks for too much, and not we who cannot: 429 (RFC 6585 §4). */
  tooMany?: true;
}

/**
 * What went wrong, in the protocol's words. `message` is the `error_description`: printable ASCII without `"` and `\`
 * (RFC 6749 §5.2), written by us alone; it never repeats what a caller sent.
 */
export class ProtocolError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly challenge: string | undefined;
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, description: string, details: ErrorDetails = {}) {
    super(description);
    this.name = 'ProtocolError';
    this.code = code;
    const challenged = code === 'invalid_client' && details.challenge !== undefined;
    this.status = challenged ? 401 : details.tooMany ? 429 : statusOf[code];
    this.challenge = details.challenge;
    this.retryAfter = details.retryAfter;
  }

  /** The error as RFC 6749 §5.2 writes it. */
  toJSON(): { error: ErrorCode; error_description: string } {
    return { error: this.code, error_description: this.message };
  }
}
