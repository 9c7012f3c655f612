/**
 * The errors a client may meet, and the one table from their code to an HTTP status.
 * Codes: RFC 6749 §5.2, RFC 8707 §2 (invalid_target), RFC 6749 §4.1.2.1 (temporarily_unavailable, server_error).
 */
const statusOf = {
  invalid_request: 400,
  invalid_client: 400,
  invalid_grant: 400,
  unauthorized_client: 400,
  unsupported_grant_type: 400,
  invalid_scope: 400,
  invalid_target: 400,
  server_error: 500,
  temporarily_unavailable: 503,
} as const;

export type ErrorCode = keyof typeof statusOf;

export interface ErrorDetails {
  /** The value of `WWW-Authenticate`. An error that carries a challenge is a 401 (RFC 6749 §5.2, RFC 9110 §15.5.2). */
  challenge?: string;
  /** Seconds after which trying again is worth it. */
  retryAfter?: number;
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
    this.status = details.challenge === undefined ? statusOf[code] : 401;
    this.challenge = details.challenge;
    this.retryAfter = details.retryAfter;
  }

  /** The error as RFC 6749 §5.2 writes it. */
  toJSON(): { error: ErrorCode; error_description: string } {
    return { error: this.code, error_description: this.message };
  }
}
