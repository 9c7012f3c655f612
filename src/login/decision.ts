/** What an authorization request comes to: decided from stored state alone, anew each time the browser returns. */
import type { Client } from '../protocol/client.ts';
import type { ErrorCode } from '../protocol/error.ts';
import type { Session } from '../protocol/session.ts';
import type { NumericDate } from '../protocol/time.ts';
import type { Interaction } from '../store/interaction.ts';
import type { AuthorizationRequest } from './authorization-request.ts';

/** What is known when it is decided. */
export interface Situation {
  readonly request: AuthorizationRequest;
  readonly client: Client;
  readonly session: Session | undefined;
  /** The interaction by which the browser returns; undefined the first time. */
  readonly interaction: Interaction | undefined;
  /** The `sub` of a valid id_token_hint. */
  readonly hintedSubject: string | undefined;
  /** What the person has allowed the client before. */
  readonly remembered: readonly string[];
  readonly now: NumericDate;
}

export type Decision =
  | { readonly step: 'sign-in' }
  | { readonly step: 'choose-account'; readonly session: Session }
  | { readonly step: 'consent'; readonly session: Session }
  | { readonly step: 'answer'; readonly session: Session }
  /** prompt=none, and it cannot be (OpenID Connect Core §3.1.2.6). */
  | { readonly step: 'refuse'; readonly code: ErrorCode };

export function decide(situation: Situation): Decision {
  const { request, session, hintedSubject } = situation;
  const silent = request.prompt.includes('none');
  if (session === undefined || mustSignIn(situation, session)) {
    return silent ? { step: 'refuse', code: 'login_required' } : { step: 'sign-in' };
  }
  if (hintedSubject !== undefined && hintedSubject !== session.user.id)
    return { step: 'refuse', code: 'login_required' };
  if (mustChoose(situation, session)) return { step: 'choose-account', session };
  if (mustConsent(situation, session)) {
    return silent ? { step: 'refuse', code: 'consent_required' } : { step: 'consent', session };
  }
  return { step: 'answer', session };
}

/** Whether the person has signed in since the interaction began: that satisfies whatever asked for it. */
function isFresh(interaction: Interaction | undefined, session: Session): boolean {
  return interaction !== undefined && session.authTime >= interaction.startedAt;
}

function mustSignIn({ request, interaction, hintedSubject, now }: Situation, session: Session): boolean {
  if (isFresh(interaction, session)) return false;
  if (hintedSubject !== undefined && hintedSubject !== session.user.id) return true;
  if (request.prompt.includes('login')) return true;
  // In whole seconds more than maxAge may have gone by where the difference is maxAge; and 0 means always (Core §3.1.2.1).
  return request.maxAge !== undefined && now - session.authTime >= request.maxAge;
}

function mustChoose({ request, interaction }: Situation, session: Session): boolean {
  if (!request.prompt.includes('select_account')) return false;
  return !isFresh(interaction, session) && interaction?.chosenBy !== session.user.id;
}

function mustConsent({ request, client, interaction, remembered }: Situation, session: Session): boolean {
  if (interaction !== undefined && interaction.consentedBy === session.user.id) return false;
  if (request.prompt.includes('consent')) return true;
  if (client.skipConsent) return false;
  if (!isIdentityAssured(client, request.redirectUri)) return true;
  return !request.scope.every((token) => remembered.includes(token));
}

/**
 * Whether the answer can reach nobody but the client: it proves itself by a secret, or lives at an https address. Any
 * program on a person's device may use a native client's id and address, so that one is allowed anew each time (RFC 8252
 * §8.6), unless who runs the issuer vouches for it (`skipConsent`).
 */
function isIdentityAssured(client: Client, redirectUri: string): boolean {
  return client.authMethod !== 'none' || redirectUri.startsWith('https:');
}
