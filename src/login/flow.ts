/**
 * Owns the browser flow: sign-in, consent and answer, each decided from stored state. Knows no HTTP: it takes
 * parameters and cookie values, and says which page to show or where to go.
 */
import { newCode } from '../crypto/code.ts';
import { newId } from '../crypto/handle.ts';
import type { Client } from '../protocol/client.ts';
import { type ErrorCode, ProtocolError } from '../protocol/error.ts';
import { isRegistered, withParameters } from '../protocol/redirect-uri.ts';
import type { Session } from '../protocol/session.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import { findConsent } from '../store/consent.ts';
import type { Database } from '../store/database.ts';
import { addGrant } from '../store/grant.ts';
import { addInteraction, findInteraction, type Interaction, removeInteraction } from '../store/interaction.ts';
import {
  type AuthorizationRequest,
  type Parameters,
  type ReturnAddress,
  readAuthorizationRequest,
  readReturnAddress,
} from './authorization-request.ts';
import { digestBrowserSecret, newBrowserSecret, readBrowserSecret } from './browser.ts';
import { decide } from './decision.ts';
import type { Sessions } from './sessions.ts';

/** What a browser sends along: its cookies. */
export interface Browser {
  readonly session: string | undefined;
  readonly secret: string | undefined;
}

/** An interaction that a person is to act on, in the browser it belongs to. */
export interface Ask {
  readonly step: 'sign-in' | 'choose-account' | 'consent';
  readonly interaction: Interaction;
  readonly request: AuthorizationRequest;
  readonly client: Client;
  /** Undefined also where the client awaits somebody else than who is signed in. */
  readonly session: Session | undefined;
  readonly browserSecret: string;
}

/** Where the browser goes: back to the client, with a code or with an error. */
export interface WayBack {
  readonly redirectTo: string;
  readonly error?: ErrorCode;
}

/** What comes of a request: somewhere to go, or something to ask. */
export type Outcome = WayBack | { readonly ask: Ask };

export interface FlowOptions {
  readonly issuer: string;
  readonly database: Database;
  readonly sessions: Sessions;
  client(id: string): Client | undefined | Promise<Client | undefined>;
  /** Seals what is kept of a request, and opens it. */
  seal(text: string): Promise<string>;
  unseal(sealed: string): Promise<string>;
  /** The `sub` of an ID token of ours, expired or not; undefined for any other text. */
  subjectOf(idToken: string): Promise<string | undefined>;
  now(): NumericDate;
}

export interface Flow {
  /** Decides a request: by its parameters the first time, by `interaction` when the browser returns. */
  proceed(parameters: Parameters, browser: Browser): Promise<Outcome>;
  /** The interaction that a form of ours belongs to. Throws `invalid_request` where it is over, or another browser's. */
  resume(interactionId: string | undefined, browser: Browser): Promise<Pending>;
  /** The way back to the client with an error; the interaction is over. */
  refuse(pending: Pending, error: ProtocolError): Promise<WayBack>;
}

/** A request that waits. */
export interface Pending {
  readonly interaction: Interaction;
  readonly request: AuthorizationRequest;
  readonly client: Client;
}

/** How long a person may take. */
const interactionLife: Seconds = 30 * 60;

/** How long a code can be redeemed (RFC 6749 §4.1.2 says ten minutes at most). */
const codeLife: Seconds = 60;

export function createFlow(options: FlowOptions): Flow {
  const { issuer, database, sessions, now } = options;

  function backWithError(
    { redirectUri, state }: { redirectUri: string; state?: string | undefined },
    { code, message }: ProtocolError,
  ): WayBack {
    const parameters = { error: code, error_description: message, state, iss: issuer };
    return { redirectTo: withParameters(redirectUri, parameters), error: code };
  }

  /** The request of the parameters, or the way back to the client with what is wrong with it. */
  function readRequest(parameters: Parameters, address: ReturnAddress): AuthorizationRequest | WayBack {
    try {
      return readAuthorizationRequest(parameters, address);
    } catch (error) {
      if (error instanceof ProtocolError) return backWithError(address, error);
      throw error;
    }
  }

  async function resume(interactionId: string | undefined, browser: Browser): Promise<Pending> {
    const secret = readBrowserSecret(browser.secret);
    const interaction =
      interactionId === undefined || secret === undefined
        ? undefined
        : await findInteraction(database, interactionId, digestBrowserSecret(secret), now());
    if (interaction === undefined) {
      throw new ProtocolError('invalid_request', 'this sign-in is over, or was begun in another browser');
    }
    const request = JSON.parse(await options.unseal(interaction.request)) as AuthorizationRequest;
    const client = await options.client(request.clientId);
    if (client === undefined || client.disabledAt !== null || !isRegistered(request.redirectUri, client.redirectUris)) {
      throw new ProtocolError('invalid_request', 'the client is not there any more, or not where it was');
    }
    return { interaction, request, client };
  }

  async function begin(request: AuthorizationRequest, secret: string): Promise<Interaction> {
    const startedAt = now();
    const interaction: Interaction = {
      id: newId('interaction'),
      browserDigest: digestBrowserSecret(secret),
      request: await options.seal(JSON.stringify(request)),
      startedAt,
      chosenBy: null,
      consentedBy: null,
      consentedAt: null,
      expiresAt: startedAt + interactionLife,
    };
    await addInteraction(database, interaction);
    return interaction;
  }

  /** Makes the grant, generation 0. The way back to the client: with its code, or an error where the session is gone. */
  async function answer(request: AuthorizationRequest, client: Client, session: Session): Promise<WayBack> {
    const { grantId, digest, code } = newCode();
    const offline = request.scope.includes('offline_access');
    const createdAt = now();
    const added = await addGrant(
      database,
      {
        id: grantId,
        userId: session.user.id,
        clientId: client.id,
        sessionId: offline ? null : session.id,
        sid: session.id,
        scope: request.scope,
        resources: request.resources,
        authTime: session.authTime,
        amr: session.amr,
        userEpoch: session.user.grantEpoch,
        clientEpoch: client.grantEpoch,
        nonce: request.nonce ?? null,
        codeDigest: digest,
        codeChallenge: request.codeChallenge ?? null,
        redirectUri: request.redirectUri,
        codeExpiresAt: createdAt + codeLife,
      },
      createdAt,
    );
    if (!added) return tell(request, undefined, new ProtocolError('login_required', 'the session has just ended'));
    return { redirectTo: withParameters(request.redirectUri, { code, state: request.state, iss: issuer }) };
  }

  /** The way back to the client with an error. Whatever waited is over. */
  async function tell(
    request: AuthorizationRequest,
    interaction: Interaction | undefined,
    error: ProtocolError,
  ): Promise<WayBack> {
    if (interaction !== undefined) await removeInteraction(database, interaction.id);
    return backWithError(request, error);
  }

  async function decideRequest(
    request: AuthorizationRequest,
    client: Client,
    interaction: Interaction | undefined,
    browser: Browser,
  ): Promise<Outcome> {
    const hintedSubject = request.idTokenHint && (await options.subjectOf(request.idTokenHint));
    if (request.idTokenHint !== undefined && hintedSubject === undefined) {
      const error = new ProtocolError('invalid_request', 'id_token_hint is not an ID token of ours');
      return tell(request, interaction, error);
    }
    const session = await sessions.find(browser.session, now());
    const asks = session !== undefined && !client.skipConsent;
    const remembered = asks ? ((await findConsent(database, session.user.id, client.id))?.scope ?? []) : [];
    const decision = decide({ request, client, session, interaction, hintedSubject, remembered, now: now() });
    if (decision.step === 'refuse') {
      const error = new ProtocolError(decision.code, 'it cannot be answered without asking the person again');
      return tell(request, interaction, error);
    }
    if (decision.step === 'answer') {
      if (interaction !== undefined && !(await removeInteraction(database, interaction.id))) {
        throw new ProtocolError('invalid_request', 'this sign-in is over');
      }
      return answer(request, client, decision.session);
    }
    const secret = readBrowserSecret(browser.secret) ?? newBrowserSecret();
    const pending = interaction ?? (await begin(request, secret));
    const awaited = hintedSubject === undefined || hintedSubject === session?.user.id ? session : undefined;
    return { ask: { ...decision, interaction: pending, request, client, session: awaited, browserSecret: secret } };
  }

  return {
    resume,

    async proceed(parameters, browser) {
      const interactionId = parameters.get('interaction');
      if (interactionId !== undefined) {
        const { interaction, request, client } = await resume(interactionId, browser);
        return decideRequest(request, client, interaction, browser);
      }
      const address = await readReturnAddress(parameters, options.client);
      const request = readRequest(parameters, address);
      if ('redirectTo' in request) return request;
      return decideRequest(request, address.client, undefined, browser);
    },

    refuse: ({ interaction, request }, error) => tell(request, interaction, error),
  };
}
