/** Pages as answers: what a person's browser gets, also where something went wrong. */
import type { FastifyReply } from 'fastify';
import { askedScopes } from '../login/asked-scopes.ts';
import { csrfValue } from '../login/browser.ts';
import type { Ask } from '../login/flow.ts';
import type { AccountProblem, Page, Pages, SignInProblem } from '../login/pages/index.ts';
import type { Resource } from '../protocol/client.ts';
import type { ProtocolError } from '../protocol/error.ts';
import { basePathOf, type Endpoint } from './endpoint.ts';
import { explainError } from './errors.ts';

export interface PageSender {
  send(reply: FastifyReply, status: number, page: Page): FastifyReply;
  /** The page by which a person is asked. */
  ask(
    reply: FastifyReply,
    ask: Ask,
    problem?: { readonly email: string; readonly problem: SignInProblem },
  ): FastifyReply;
  /** The form of who is to come back later, once more: nothing is looked up for it. */
  comeBack(
    reply: FastifyReply,
    form: { readonly interaction: string; readonly browserSecret: string; readonly email: string },
    problem: 'busy' | 'tooMany',
  ): FastifyReply;
  /** Shows an error on a page; it is never redirected (RFC 6749 §4.1.2.1). */
  sendError: NonNullable<Endpoint['sendError']>;
}

export interface PageSenderOptions {
  readonly issuer: string;
  readonly pages: Pages;
  resource(identifier: string): Resource | undefined;
}

export function createPageSender({ issuer, pages, resource }: PageSenderOptions): PageSender {
  const base = basePathOf(issuer);

  function send(reply: FastifyReply, status: number, page: Page): FastifyReply {
    return reply.code(status).headers(page.headers).send(page.html);
  }

  function pageFor(ask: Ask, retry?: { email: string; problem: SignInProblem }): Page {
    const { request, client, session, interaction, browserSecret } = ask;
    if (ask.step === 'sign-in' || session === undefined) {
      return pages.signIn({
        csrf: csrfValue(browserSecret),
        interaction: interaction.id,
        action: `${base}/sign-in`,
        clientName: client.name,
        email: request.loginHint ?? session?.user.email ?? '',
        again: session !== undefined,
        ...retry,
      });
    }
    const csrf = csrfValue(browserSecret, session.id);
    const view = { csrf, interaction: interaction.id, clientName: client.name, user: session.user };
    if (ask.step === 'choose-account') return pages.chooseAccount({ ...view, action: `${base}/choose-account` });
    const scopes = askedScopes(request.scope, request.resources, resource);
    return pages.consent({ ...view, action: `${base}/consent`, redirectUri: request.redirectUri, scopes });
  }

  return {
    send,
    ask: (reply, ask, retry) => send(reply, 200, pageFor(ask, retry)),

    comeBack(reply, { interaction, browserSecret, email }, problem) {
      const form = { action: `${base}/sign-in`, csrf: csrfValue(browserSecret), interaction, email };
      return send(reply, statusOfProblem(problem), pages.signIn({ ...form, problem }));
    },

    sendError(error, request, reply) {
      const known = explainError(error, request, reply);
      // The page names the request, so that who is asked for help finds it; what is our own doing is logged already.
      if (known.status < 500 && known.retryAfter === undefined) {
        const { code, message } = known;
        request.log.info({ reqId: request.id, error: code, says: message }, 'refused on a page');
      }
      void send(reply, reply.statusCode, pages.error({ ...inWords(known), requestId: request.id }));
    },
  };
}

/** What an error is to a person. */
function inWords({ code, message }: ProtocolError): { title: string; says: string } {
  switch (code) {
    case 'server_error':
      return { title: 'Something went wrong here', says: 'It has been logged.' };
    case 'temporarily_unavailable':
      return { title: 'Back in a moment', says: 'This cannot be done just now. Try again in a few seconds.' };
    default:
      return { title: 'This does not work', says: `${asSentence(message)}.` };
  }
}

/** With a capital, unless it begins with the name of a parameter. */
function asSentence(message: string): string {
  return /^[a-z]+_/.test(message) ? message : message.charAt(0).toUpperCase() + message.slice(1);
}

/** What a page says by its status about a sign-in that came to nothing. A wrong password is no error of the protocol. */
export function statusOfProblem(problem: SignInProblem | AccountProblem | undefined): number {
  switch (problem) {
    case 'expired':
      return 403;
    case 'tooMany':
      return 429;
    case 'busy':
      return 503;
    default:
      return 200;
  }
}
