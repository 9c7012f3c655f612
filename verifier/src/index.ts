/** What a resource service installs: verifies access tokens offline, and learns of revocations. */
export { createDenylist, type Denylist, type RevocableToken, type RevocationEntry } from './denylist.ts';
export { type RevocationKind, revocationDigest } from './digest.ts';
