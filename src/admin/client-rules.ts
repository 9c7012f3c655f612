import type { Client, Resource } from '../protocol/client.ts';
import { isIdentityScope } from '../protocol/scope.ts';
import { administers } from './access.ts';
import { AdminError } from './context.ts';

/**
 * A client that could never get a token, or not safely, is a slip of the hand, so it is refused. Throws `invalid`.
 * `known` are the resource services there are, by their audiences.
 */
export function requireConsistent(client: Client, known: ReadonlyMap<string, Resource>, issuer: string): void {
  for (const audience of [...client.resources, ...client.serves]) {
    if (!known.has(audience)) {
      throw new AdminError('invalid', `there is no resource service ${audience}`, `keyturn resource add ${audience}`);
    }
  }
  for (const [broken, says, hint] of rulesFor(client, issuer)) if (broken) throw new AdminError('invalid', says, hint);
  const people = client.grantTypes.includes('authorization_code') || client.firstParty;
  for (const scope of client.scopes) {
    const ofAudience = client.resources.some((audience) => Object.hasOwn(known.get(audience)?.scopes ?? {}, scope));
    if (!(isIdentityScope(scope) && people) && !ofAudience) {
      throw new AdminError('invalid', `no audience of the client knows the scope ${scope}`);
    }
  }
}

type Rule = readonly [broken: boolean, says: string, hint?: string];

function rulesFor(client: Client, issuer: string): Rule[] {
  const has = (grantType: string) => client.grantTypes.includes(grantType);
  const isPublic = client.authMethod === 'none';
  const { cookieDomain } = client;
  return [
    [client.grantTypes.length === 0, 'a client needs a grant type', 'give --grant'],
    [
      has('client_credentials') && client.resources.length === 0,
      'a client with client_credentials needs an audience',
      'give --audience',
    ],
    [
      has('client_credentials') && isPublic,
      'a public client has no credentials of its own: not with client_credentials',
    ],
    [
      has('authorization_code') && client.redirectUris.length === 0,
      'a client with authorization_code needs a redirect URI',
      'give --redirect-uri',
    ],
    [
      has('refresh_token') && !has('authorization_code') && !client.firstParty,
      'refresh_token needs authorization_code beside it, or a first-party client',
    ],
    [
      client.scopes.includes('offline_access') && !has('refresh_token'),
      'the scope offline_access needs the grant refresh_token',
    ],
    [isPublic && !client.pkceRequired, 'a public client cannot do without PKCE'],
    [isPublic && !client.refreshRotates, 'the refresh token of a public client always rotates'],
    [isPublic && client.serves.length > 0, 'a public client cannot introspect: it cannot say who it is'],
    [client.firstParty && !has('refresh_token'), 'a first-party client needs the grant refresh_token'],
    [client.firstParty && client.origins.length === 0, 'a first-party client needs an origin', 'give --origin'],
    [cookieDomain !== null && !client.firstParty, 'a cookie domain is for a first-party client', 'give --first-party'],
    [
      cookieDomain !== null && !isWithin(new URL(issuer).hostname, cookieDomain),
      `the issuer's host is not within the cookie domain ${cookieDomain}`,
    ],
    // What people are asked to consent to is never the administration of their issuer.
    [
      administers(client, issuer) && client.grantTypes.some((type) => type !== 'client_credentials'),
      'the audience of the admin API is for clients with client_credentials alone',
    ],
  ];
}

function isWithin(host: string, domain: string): boolean {
  return host === domain || host.endsWith(`.${domain}`);
}
