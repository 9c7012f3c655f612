/**
 * Owns the list of grant types: a file and a line each. Knows nothing of HTTP or of keys; the steps that all grants
 * share (client authentication, scope, audience, issuing) are the token endpoint's, so that none can forget one.
 */
import { authorizationCode } from './authorization-code.ts';
import { clientCredentials } from './client-credentials.ts';
import type { GrantType } from './grant-type.ts';
import { refreshToken } from './refresh-token.ts';

const list: GrantType[] = [authorizationCode, refreshToken, clientCredentials];

/** All grant types by name. To add one, add a line above. */
export const grantTypes: ReadonlyMap<string, GrantType> = new Map(list.map((grantType) => [grantType.name, grantType]));
