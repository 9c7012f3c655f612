/** The flags that say what a client is, and what they make of it. */
import type { Command } from 'commander';
import type { ClientValues } from '../../src/admin/clients.ts';
import type { ClientAuthMethod } from '../../src/protocol/client.ts';
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
export function toClientValues(options: ClientOptions): ClientValues {
  const auth = options.public ? 'none' : options.auth;
  if (options.public && options.auth !== undefined && options.auth !== 'none') {
    throw mistake('--public goes with no --auth but none');
  }
  const values: ClientValues = {
    client_name: options.name,
    grant_types: options.grant,
    redirect_uris: options.redirectUri,
    post_logout_redirect_uris: options.postLogoutRedirectUri,
    backchannel_logout_uri: options.backchannelLogoutUri,
    origins: options.origin,
    audiences: options.audience,
    scope: options.scope?.join(' '),
    serves: options.serves,
    token_endpoint_auth_method: auth,
    first_party: options.firstParty,
    cookie_domain: options.cookieDomain,
    skip_consent: options.skipConsent,
    pkce_required: options.pkce && options.pkce === 'required',
    id_token_signed_response_alg: options.idTokenAlg,
    refresh_rotates: options.refresh && options.refresh === 'rotate',
  };
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
