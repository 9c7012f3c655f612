/** Who may use the admin API: clients of its audience, each with the scopes it was added with. */
import { defaultAlg } from '../crypto/algorithms.ts';
import type { Client, Resource } from '../protocol/client.ts';

/** Scope token → what it lets a client do. */
export const adminScopes = {
  'admin:resources:read': 'List resource services',
  'admin:resources:write': 'Add and change resource services',
  'admin:clients:read': 'List clients',
  'admin:clients:write': 'Add and change clients, and give them new secrets',
  'admin:users:read': 'List people, roles and sessions',
  'admin:users:write': 'Add, change and delete people, set passwords, add and give roles, end sessions',
  'admin:keys:read': 'List signing keys',
  'admin:keys:write': 'Rotate and revoke signing keys',
  'admin:tokens:write': 'Inspect and revoke tokens and grants',
  'admin:audit:read': 'Read the audit',
} as const;

export type AdminScope = keyof typeof adminScopes;

/**
 * The audience of the admin API's tokens. It is in no table: it is there always, and nobody can change it. Its tokens
 * live for five minutes at the most, as each can do much.
 */
export function adminResource(issuer: string): Resource {
  return { identifier: `${issuer}/admin`, scopes: adminScopes, alg: defaultAlg, accessTtl: 300 };
}

/** Whether a client may have tokens for the admin API. */
export function administers(client: Pick<Client, 'resources'>, issuer: string): boolean {
  return client.resources.includes(adminResource(issuer).identifier);
}
