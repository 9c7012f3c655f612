/** Proof Key for Code Exchange (RFC 7636): the syntax. Only S256 is taken. */

/** Whether a text can be the S256 challenge: the base64url of 32 bytes (§4.2). */
export function isCodeChallenge(text: string): boolean {
  return /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/.test(text);
}

/** Whether a text can be a verifier: 43 to 128 unreserved characters (§4.1). */
export function isCodeVerifier(text: string): boolean {
  return /^[A-Za-z0-9._~-]{43,128}$/.test(text);
}
