/** An authorization request (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1): read, and checked in two parts. */
import type { Client } from '../protocol/client.ts';
import { ProtocolError } from '../protocol/error.ts';
import { isCodeChallenge } from '../protocol/pkce.ts';
import { isRegistered } from '../protocol/redirect-uri.ts';
import { isResourceIndicator } from '../protocol/resource-indicator.ts';
import { isIdentityScope, parseScope } from '../protocol/scope.ts';
import type { Seconds } from '../protocol/time.ts';

export const prompts = ['none', 'login', 'consent', 'select_account'] as const;
export type Prompt = (typeof prompts)[number];

/** A request that is in order. Everything in it may be kept and read again. */
export interface AuthorizationRequest {
  readonly clientId: string;
  readonly redirectUri: string;
  readonly state?: string;
  readonly nonce?: string;
  /** What the client asks for and may have; what is unknown is left out (Core §3.1.2.1). */
  readonly scope: readonly string[];
  readonly resources: readonly string[];
  readonly codeChallenge?: string;
  readonly prompt: readonly Prompt[];
  readonly maxAge?: Seconds;
  readonly loginHint?: string;
  readonly idTokenHint?: string;
}

/** The parameters as they came. */
export interface Parameters {
  get(name: string): string | undefined;
  all(name: 'resource'): readonly string[];
}

/** Where an answer goes. */
export interface ReturnAddress {
  readonly client: Client;
  readonly redirectUri: string;
  readonly state: string | undefined;
}

/** Longer values would not come back through a browser. */
const longestValue = 2_000;

/**
 * The first part: client and redirect URI. What fails here is shown on a page and never redirected, since there is
 * nobody yet to whom a redirect could be trusted (RFC 6749 §4.1.2.1).
 */
export async function readReturnAddress(
  parameters: Parameters,
  find: (id: string) => Client | undefined | Promise<Client | undefined>,
): Promise<ReturnAddress> {
  const clientId = parameters.get('client_id');
  const redirectUri = parameters.get('redirect_uri');
  if (clientId === undefined) throw new ProtocolError('invalid_request', 'client_id is missing');
  const client = await find(clientId);
  if (client === undefined || client.disabledAt !== null) {
    throw new ProtocolError('invalid_request', 'there is no such client');
  }
  if (redirectUri === undefined) throw new ProtocolError('invalid_request', 'redirect_uri is missing');
  if (!isRegistered(redirectUri, client.redirectUris)) {
    throw new ProtocolError('invalid_request', 'redirect_uri is not one that the client has registered');
  }
  return { client, redirectUri, state: parameters.get('state') };
}

/** The second part: all the rest. What fails here is told to the client by redirect. */
export function readAuthorizationRequest(
  parameters: Parameters,
  { client, redirectUri }: ReturnAddress,
): AuthorizationRequest {
  refuseUnsupported(parameters);
  if (!client.grantTypes.includes('authorization_code')) {
    throw new ProtocolError('unauthorized_client', 'the client is not registered for authorization_code');
  }
  const responseType = parameters.get('response_type');
  if (responseType === undefined) throw new ProtocolError('invalid_request', 'response_type is missing');
  if (responseType !== 'code') throw new ProtocolError('unsupported_response_type', 'only response_type code is there');
  if ((parameters.get('response_mode') ?? 'query') !== 'query') {
    throw new ProtocolError('invalid_request', 'only response_mode query is there');
  }
  return {
    clientId: client.id,
    redirectUri,
    ...readValues(parameters),
    scope: readScope(parameters.get('scope'), client),
    resources: readResources(parameters.all('resource'), client),
    ...readChallenge(parameters, client),
    prompt: readPrompt(parameters.get('prompt')),
    ...readMaxAge(parameters.get('max_age')),
  };
}

/** OpenID Connect Core §3.1.2.6: what is known and not supported has an error of its own. */
function refuseUnsupported(parameters: Parameters): void {
  for (const name of ['request', 'request_uri', 'registration'] as const) {
    if (parameters.get(name) === undefined) continue;
    throw new ProtocolError(`${name}_not_supported`, `the parameter ${name} is not supported`);
  }
}

function readValues(parameters: Parameters): Partial<AuthorizationRequest> {
  const [state, nonce] = [parameters.get('state'), parameters.get('nonce')];
  const [loginHint, idTokenHint] = [parameters.get('login_hint'), parameters.get('id_token_hint')];
  for (const value of [state, nonce]) {
    if (value !== undefined && value.length > longestValue) {
      throw new ProtocolError('invalid_request', `state and nonce may have ${longestValue} characters`);
    }
  }
  return {
    ...(state !== undefined && { state }),
    ...(nonce !== undefined && { nonce }),
    ...(loginHint !== undefined && { loginHint: loginHint.slice(0, 254) }),
    ...(idTokenHint !== undefined && { idTokenHint }),
  };
}

function readScope(text: string | undefined, client: Client): string[] {
  // Access while nobody is there is by refresh tokens alone: for a client without them it asks for nothing.
  const canRefresh = client.grantTypes.includes('refresh_token');
  const asked = text === undefined ? client.scopes.filter((token) => !isIdentityScope(token)) : parseScope(text);
  const scope = asked.filter((token) => client.scopes.includes(token) && (token !== 'offline_access' || canRefresh));
  if (scope.length === 0) throw new ProtocolError('invalid_scope', 'nothing of the scope asked for can be granted');
  return scope;
}

function readResources(asked: readonly string[], client: Client): readonly string[] {
  if (asked.length === 0) return client.resources;
  const allowed = asked.every((resource) => isResourceIndicator(resource) && client.resources.includes(resource));
  if (!allowed)
    throw new ProtocolError('invalid_target', 'a resource is unknown, or not one that this client may ask for');
  return [...new Set(asked)];
}

/** RFC 7636 §4.3, of which S256 alone is taken; required of every client that was not added otherwise (RFC 9700 §2.1.1). */
function readChallenge(parameters: Parameters, client: Client): { codeChallenge?: string } {
  const codeChallenge = parameters.get('code_challenge');
  const method = parameters.get('code_challenge_method');
  if (codeChallenge === undefined) {
    if (method !== undefined) throw new ProtocolError('invalid_request', 'code_challenge is missing');
    if (!client.pkceRequired && client.authMethod !== 'none') return {};
    throw new ProtocolError('invalid_request', 'PKCE is required: code_challenge is missing');
  }
  if (method !== 'S256') throw new ProtocolError('invalid_request', 'code_challenge_method must be S256');
  if (!isCodeChallenge(codeChallenge)) throw new ProtocolError('invalid_request', 'code_challenge is not a SHA-256');
  return { codeChallenge };
}

function readPrompt(text: string | undefined): Prompt[] {
  const values = text === undefined ? [] : [...new Set(text.split(' ').filter((value) => value !== ''))];
  if (!values.every((value): value is Prompt => (prompts as readonly string[]).includes(value))) {
    throw new ProtocolError('invalid_request', 'prompt has a value that is not known');
  }
  if (values.includes('none') && values.length > 1) {
    throw new ProtocolError('invalid_request', 'prompt none does not go with others');
  }
  return values;
}

function readMaxAge(text: string | undefined): { maxAge?: Seconds } {
  if (text === undefined) return {};
  if (!/^\d{1,9}$/.test(text)) throw new ProtocolError('invalid_request', 'max_age must be a number of seconds');
  return { maxAge: Number(text) };
}
