/** What a request to sign out comes to (OpenID Connect RP-Initiated Logout 1.0), decided from it and the session alone. */
import type { Client } from '../protocol/client.ts';
import { ProtocolError } from '../protocol/error.ts';
import { withParameters } from '../protocol/redirect-uri.ts';
import type { Session } from '../protocol/session.ts';

/** Where a person goes afterwards. */
export interface AfterSignOut {
  /** The client that asks for it; undefined where none is known. */
  readonly client: Client | undefined;
  /** One that this client has registered, character by character; undefined: a page of ours. */
  readonly redirectUri: string | undefined;
  readonly state: string | undefined;
}

export interface SignOutRequest {
  /** Of an ID token of ours that was given to the client; it may have expired. */
  readonly hint: { readonly sub: string; readonly sid: string | undefined } | undefined;
  readonly after: AfterSignOut;
}

export interface SignOutReader {
  client(id: string): Client | undefined | Promise<Client | undefined>;
  /** The claims of an ID token of ours, expired or not; undefined for any other text. */
  idTokenHint(text: string): Promise<{ sub: string; aud: string; sid: string | undefined } | undefined>;
}

/** A session that is to end. */
export interface SessionToEnd {
  readonly id: string;
  readonly userId: string;
}

export type SignOutDecision =
  /** Nobody has said that the person wants this. */
  | { readonly step: 'ask'; readonly session: Session }
  | { readonly step: 'end'; readonly session: SessionToEnd }
  /** Nobody is signed in. */
  | { readonly step: 'nothing' };

/** Longer values would not come back through a browser. */
const longestState = 2_000;

/**
 * Reads the request. A hint that is not ours or that client_id contradicts counts for nothing, and nothing else that
 * came with it does (§4): we ask, and lead nowhere. Throws `invalid_request` for a state that is too long.
 */
export async function readSignOutRequest(
  parameter: (name: string) => string | undefined,
  reader: SignOutReader,
): Promise<SignOutRequest> {
  const text = parameter('id_token_hint');
  const claims = text === undefined ? undefined : await reader.idTokenHint(text);
  const clientId = parameter('client_id') ?? claims?.aud;
  const contradicted =
    (text !== undefined && claims === undefined) || (claims !== undefined && claims.aud !== clientId);
  const client = contradicted || clientId === undefined ? undefined : await reader.client(clientId);
  if (client === undefined || client.disabledAt !== null) return { hint: undefined, after: nowhere };

  const state = parameter('state');
  if (state !== undefined && state.length > longestState) {
    throw new ProtocolError('invalid_request', `state may have ${longestState} characters`);
  }
  const uri = parameter('post_logout_redirect_uri');
  const redirectUri = uri !== undefined && client.postLogoutRedirectUris.includes(uri) ? uri : undefined;
  return { hint: claims && { sub: claims.sub, sid: claims.sid }, after: { client, redirectUri, state } };
}

const nowhere: AfterSignOut = { client: undefined, redirectUri: undefined, state: undefined };

/**
 * Whether to ask. A hint speaks for the session that it names and no other; where the browser shows none (its cookie does
 * not come with another site's POST), it is the hint that finds the session.
 */
export function decideSignOut({ hint }: SignOutRequest, session: Session | undefined): SignOutDecision {
  if (session === undefined) {
    if (hint?.sid === undefined) return { step: 'nothing' };
    return { step: 'end', session: { id: hint.sid, userId: hint.sub } };
  }
  const meant = hint !== undefined && hint.sid === session.id && hint.sub === session.user.id;
  return meant ? { step: 'end', session: { id: session.id, userId: session.user.id } } : { step: 'ask', session };
}

/** The client's own address with its state; undefined where there is none to go to. */
export function addressAfter({ redirectUri, state }: AfterSignOut): string | undefined {
  return redirectUri === undefined ? undefined : withParameters(redirectUri, { state });
}

/** The path with what of a request is worth asking again with. All of it is checked anew there. */
export function askAgain(path: string, { client, redirectUri, state }: AfterSignOut): string {
  return withParameters(path, { client_id: client?.id, post_logout_redirect_uri: redirectUri, state });
}
