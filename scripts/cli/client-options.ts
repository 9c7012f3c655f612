/** The flags that say what a client is, and what they make of it. */
import type { Command } from 'commander';
import type { Client, ClientAuthMethod, Resource } from '../../src/protocol/client.ts';
import { isIdentityScope } from '../../src/protocol/scope.ts';
import type { ClientChange } from '../../src/store/client.ts';
import {
  audienceArgument,
  authArgument,
  choiceArgument,
  domainArgument,
  each,
  grantArgument,
  idTokenAlgArgument,
  once,
  originArgument,
  redirectUriArgument,
  scopeArgument,
  webUriArgument,
} from './arguments.ts';
import { mistake } from './failure.ts';

export interface ClientOptions {
  name?: string;
  grant?: string[];
  redirectUri?: string[];
  postLogoutRedirectUri?: string[];
  backchannelLogoutUri?: string;
  origin?: string[];
  audience?: string[];
  scope?: string[];
  serves?: string[];
  auth?: ClientAuthMethod;
  public?: true;
  firstParty?: true;
  cookieDomain?: string;
  skipConsent?: true;
  pkce?: 'required' | 'optional';
  idTokenAlg?: string;
  refresh?: 'rotate' | 'keep';
  overlap?: number;
  revoke?: true;
  json?: true;
}

export function withClientOptions(command: Command): Command {
  return command
    .option('--grant <type>', 'a grant type it may use; repeatable', each(grantArgument))
    .option(
      '--audience <uri>',
      'a resource service it may ask tokens for, the default first; repeatable',
      each(audienceArgument),
    )
    .option('--scope <scope>', 'a scope it may have; repeatable', each(scopeArgument))
    .option('--redirect-uri <uri>', 'where people return to after sign-in; repeatable', each(redirectUriArgument))
    .option(
      '--post-logout-redirect-uri <uri>',
      'where people return to after sign-out; repeatable',
      each(redirectUriArgument),
    )
    .option('--backchannel-logout-uri <uri>', 'where it is told that somebody has signed out', once(webUriArgument))
    .option('--origin <origin>', 'a web origin whose pages may ask for tokens; repeatable', each(originArgument))
    .option('--auth <method>', 'how it authenticates (client_secret_basic if not given)', once(authArgument))
    .option('--public', 'it cannot keep a secret: a single-page or native app; the same as --auth none')
    .option('--skip-consent', 'people are not asked: it is your own')
    .option(
      '--pkce <how>',
      'optional for software that cannot do PKCE (required if not given)',
      once(choiceArgument('required', 'optional')),
    )
    .option('--id-token-alg <alg>', 'the algorithm of its ID tokens (RS256 if not given)', once(idTokenAlgArgument))
    .option(
      '--refresh <how>',
      'keep: its refresh token is not replaced (rotate if not given)',
      once(choiceArgument('rotate', 'keep')),
    )
    .option('--serves <uri>', 'an audience whose tokens it may introspect; repeatable', each(audienceArgument))
    .option('--first-party', 'it may sign people in by /session, with tokens in cookies')
    .option(
      '--cookie-domain <domain>',
      'the domain of those cookies (the host alone if not given)',
      once(domainArgument),
    )
    .option('--json', 'print JSON');
}

/** What the flags that were given say of a client. */
export function toClientChange(options: ClientOptions): ClientChange {
  const auth = options.public ? 'none' : options.auth;
  if (options.public && options.auth !== undefined && options.auth !== 'none') {
    throw mistake('--public goes with no --auth but none');
  }
  const change: { [Field in keyof ClientChange]: ClientChange[Field] | undefined } = {
    name: options.name,
    grantTypes: options.grant,
    redirectUris: options.redirectUri,
    postLogoutRedirectUris: options.postLogoutRedirectUri,
    backchannelLogoutUri: options.backchannelLogoutUri,
    origins: options.origin,
    resources: options.audience,
    scopes: options.scope,
    serves: options.serves,
    authMethod: auth,
    firstParty: options.firstParty,
    cookieDomain: options.cookieDomain,
    skipConsent: options.skipConsent,
    pkceRequired: options.pkce && options.pkce === 'required',
    idTokenAlg: options.idTokenAlg,
    refreshRotates: options.refresh && options.refresh === 'rotate',
  };
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
}

/** A client that could never get a token, or not safely, is a slip of the hand, so it is refused. */
export function requireConsistent(client: Client, known: ReadonlyMap<string, Resource>, issuer: string): void {
  const has = (grantType: string) => client.grantTypes.includes(grantType);
  const isPublic = client.authMethod === 'none';
  for (const audience of [...client.resources, ...client.serves]) {
    if (!known.has(audience))
      throw mistake(`there is no resource service ${audience}: keyturn resource add ${audience}`);
  }
  const rules: [broken: boolean, says: string][] = [
    [
      has('client_credentials') && client.resources.length === 0,
      'a client with client_credentials needs an audience: give --audience',
    ],
    [
      has('client_credentials') && isPublic,
      'a public client has no credentials of its own: not with client_credentials',
    ],
    [
      has('authorization_code') && client.redirectUris.length === 0,
      'a client with authorization_code needs a --redirect-uri',
    ],
    [
      has('refresh_token') && !has('authorization_code') && !client.firstParty,
      'refresh_token needs authorization_code or --first-party beside it',
    ],
    [
      client.scopes.includes('offline_access') && !has('refresh_token'),
      'the scope offline_access needs the grant refresh_token',
    ],
    [isPublic && !client.pkceRequired, 'a public client cannot do without PKCE'],
    [isPublic && !client.refreshRotates, 'the refresh token of a public client always rotates'],
    [isPublic && client.serves.length > 0, 'a public client cannot introspect: it cannot say who it is'],
    [client.firstParty && !has('refresh_token'), 'a first-party client needs the grant refresh_token'],
    [client.firstParty && client.origins.length === 0, 'a first-party client needs an --origin'],
    [client.cookieDomain !== null && !client.firstParty, '--cookie-domain is for a --first-party client'],
    [
      client.cookieDomain !== null && !isWithin(new URL(issuer).hostname, client.cookieDomain),
      `the issuer's host is not within the cookie domain ${client.cookieDomain}`,
    ],
  ];
  for (const [broken, says] of rules) if (broken) throw mistake(says);
  for (const scope of client.scopes) {
    const identity = isIdentityScope(scope) && (has('authorization_code') || client.firstParty);
    const ofAudience = client.resources.some((audience) => Object.hasOwn(known.get(audience)?.scopes ?? {}, scope));
    if (!identity && !ofAudience) throw mistake(`no audience of the client knows the scope ${scope}`);
  }
}

function isWithin(host: string, domain: string): boolean {
  return host === domain || host.endsWith(`.${domain}`);
}
