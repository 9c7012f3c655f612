/** What a resource service installs: verifies access tokens offline, and learns of revocations. */
export { type AccessTokenClaims, requirePermission, requireRole, requireScope } from './claims.ts';
export { checkCsrf } from './csrf.ts';
export { createDenylist, type Denylist, type RevocableToken, type RevocationEntry } from './denylist.ts';
export { type RevocationKind, revocationDigest } from './digest.ts';
export { type OAuthError, TokenError, type TokenErrorCode } from './error.ts';
export type { Algorithm, RevocationStatus, Verifier, VerifierOptions, VerifierStatus } from './options.ts';
export { createVerifier } from './verifier.ts';
