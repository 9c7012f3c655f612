/** The admin API of an issuer in this process, on a real socket. */
import type { Test } from 'tap';
import { adminResource, adminScopes } from '../../src/admin/access.ts';
import { type Answer, post, registerClient, startIssuer, type TestIssuer, type TestIssuerOptions } from './issuer.ts';

export interface AdminApi {
  readonly issuer: TestIssuer;
  readonly url: string;
  /** The client that asks where nothing else is said: it may do all. */
  readonly administrator: { readonly id: string; readonly token: string };
  /** A token of a client of its own with these scopes. */
  tokenFor(...scopes: string[]): Promise<string>;
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
}

export async function startAdminApi(t: Test, options: TestIssuerOptions = {}): Promise<AdminApi> {
  const issuer = await startIssuer(t, { ...options, settings: { ...options.settings, ADMIN_PORT: '0' } });
  const { adminServer } = issuer.app;
  if (adminServer === undefined) throw new Error('no admin server');
  const url = await adminServer.listen({ host: '127.0.0.1', port: 0 });

  async function clientFor(scopes: readonly string[]): Promise<{ id: string; token: string }> {
    const { identifier } = adminResource(issuer.issuer);
    const { id, basic } = await registerClient(issuer, { name: 'deployer', scopes, resources: [identifier] });
    const { json } = await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: basic });
    return { id, token: json.access_token };
  }

  const administrator = await clientFor(Object.keys(adminScopes));
  return {
    issuer,
    url,
    administrator,
    tokenFor: async (...scopes) => (await clientFor(scopes)).token,
    async call(method, path, body, headers = {}) {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${administrator.token}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      const json = response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : undefined;
      return { status: response.status, headers: Object.fromEntries(response.headers), text, json };
    },
  };
}
