/** Pages as answers: what a person's browser gets, also where something went wrong. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { askedScopes } from '../login/asked-scopes.ts';
import { csrfValue } from '../login/browser.ts';
import type { Ask } from '../login/flow.ts';
import type { Page, Pages, SignInProblem } from '../login/pages/index.ts';
import type { Resource } from '../protocol/client.ts';
import { ProtocolError } from '../protocol/error.ts';
import { basePathOf } from './endpoint.ts';

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;

export interface PageSender {
  send(reply: FastifyReply, status: number, page: Page): FastifyReply;
  /** The page by which a person is asked. */
  ask(
    reply: FastifyReply,
    ask: Ask,
    problem?: { readonly email: string; readonly problem: SignInProblem },
  ): FastifyReply;
  /** The form of who came when too many were signing in, once more: nothing is looked up for it. */
  comeBack(
    reply: FastifyReply,
    form: { readonly interaction: string; readonly browserSecret: string; readonly email: string },
  ): FastifyReply;
  /** A handler whose errors are shown on a page, and never redirected (RFC 6749 §4.1.2.1). */
  orErrorPage(handler: Handler): Handler;
}

export interface PageSenderOptions {
  readonly issuer: string;
  readonly pages: Pages;
  resource(identifier: string): Resource | undefined;
}

/** Seconds after which signing in is worth another try. */
export const busyFor = 2;

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

    comeBack(reply, { interaction, browserSecret, email }) {
      const form = { action: `${base}/sign-in`, csrf: csrfValue(browserSecret), interaction, email };
      return send(reply.header('retry-after', busyFor), 503, pages.signIn({ ...form, problem: 'busy' }));
    },

    orErrorPage: (handler) => async (request, reply) => {
      try {
        return await handler(request, reply);
      } catch (error) {
        const known = error instanceof ProtocolError;
        if (!known) request.log.error({ reqId: request.id, err: error }, 'request failed');
        const [status, says] = known ? [error.status, `${error.message}.`] : [500, 'It has been logged.'];
        if (known && error.retryAfter !== undefined) reply.header('retry-after', error.retryAfter);
        const title = known ? 'This does not work' : 'Something went wrong here';
        return send(reply, status, pages.error({ title, says: capitalised(says), requestId: request.id }));
      }
    },
  };
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
