import type { FastifyReply, FastifyRequest } from 'fastify';
import type { BackChannel } from '../../login/back-channel.ts';
import { csrfValue } from '../../login/browser.ts';
import type { Pages } from '../../login/pages/index.ts';
import type { Sessions } from '../../login/sessions.ts';
import {
  type AfterSignOut,
  addressAfter,
  askAgain,
  decideSignOut,
  readSignOutRequest,
  type SessionToEnd,
  type SignOutReader,
} from '../../login/sign-out.ts';
import type { Session } from '../../protocol/session.ts';
import type { NumericDate } from '../../protocol/time.ts';
import type { Revoker } from '../../tokens/revocation.ts';
import type { Cookies } from '../cookies.ts';
import { basePathOf, type Endpoint } from '../endpoint.ts';
import { type Form, parseForm } from '../form.ts';
import { personOf, provideSecret, readOwnForm, requireCsrf } from '../own-form.ts';
import type { PageSender } from '../page-sender.ts';
import { queryOf, redirect, requireForm } from '../request.ts';

export interface LogoutServices extends SignOutReader {
  readonly issuer: string;
  readonly cookies: Cookies;
  readonly pages: PageSender;
  readonly views: Pages;
  readonly sessions: Sessions;
  readonly revoker: Revoker;
  readonly backChannel: BackChannel;
  now(): NumericDate;
}

/**
 * Sign-out (OpenID Connect RP-Initiated Logout 1.0). Where a valid hint does not say that it is meant, we ask, and our
 * form posts elsewhere, as only that one carries a CSRF value. Nothing is kept between the two: what the form repeats of
 * the request is checked anew. Signing out again is no error.
 */
export function logoutEndpoints(services: LogoutServices): Endpoint[] {
  const { issuer, cookies, pages, views, sessions, revoker, backChannel, now } = services;
  const { sendError } = pages;

  async function logout(request: FastifyRequest, reply: FastifyReply, form: Form): Promise<FastifyReply> {
    const read = await readSignOutRequest(form.get, services);
    const session = await sessions.find(cookies.session(request), now());
    const decision = decideSignOut(read, session);
    if (decision.step === 'end') {
      if (session !== undefined) cookies.clearSession(reply);
      return end(request, reply, decision.session, read.after);
    }
    // From another site's page no cookie comes with a POST: who is signed in shows when the browser comes by itself.
    if (request.method === 'POST') return redirect(reply, askAgain(`${issuer}/logout`, read.after));
    return decision.step === 'ask'
      ? ask(request, reply, decision.session, read.after)
      : end(request, reply, undefined, read.after);
  }

  function ask(request: FastifyRequest, reply: FastifyReply, { id, user }: Session, after: AfterSignOut): FastifyReply {
    const page = views.signOut({
      action: askAgain(`${basePathOf(issuer)}/sign-out`, after),
      csrf: csrfValue(provideSecret(request, reply, cookies), id),
      user,
      ...(after.client && { clientName: after.client.name }),
    });
    return pages.send(reply, 200, page);
  }

  async function signOut(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const own = readOwnForm(request, services);
    const { after } = await readSignOutRequest(parseForm(queryOf(request)).get, services);
    const session = await sessions.find(own.browser.session, now());
    if (session === undefined) return end(request, reply, undefined, after);
    requireCsrf(own, session);
    if (own.form.get('decision') !== 'sign-out') return redirect(reply, `${issuer}/account`);
    cookies.clearSession(reply);
    return end(request, reply, { id: session.id, userId: session.user.id }, after);
  }

  /** Ends the session, if there is one, and leads on when the other clients know, or patience is over. */
  async function end(
    request: FastifyRequest,
    reply: FastifyReply,
    session: SessionToEnd | undefined,
    after: AfterSignOut,
  ): Promise<FastifyReply> {
    const ended =
      session &&
      (await revoker.by(personOf(request, session.userId)).endSession(session.id, 'sign-out', session.userId));
    const telling = ended?.logoutId === undefined ? [] : await backChannel.tell(ended.logoutId);
    const address = addressAfter(after);
    if (address !== undefined) return redirect(reply, address);
    const told = telling.map(async ({ clientId, state }) => {
      const client = await services.client(clientId);
      return { clientName: client?.name ?? clientId, state };
    });
    return pages.send(reply, 200, views.signedOut({ told: await Promise.all(told) }));
  }

  return [
    {
      path: '/logout',
      method: 'GET',
      metadata: (url) => ({
        end_session_endpoint: url,
        backchannel_logout_supported: true,
        backchannel_logout_session_supported: true,
      }),
      handle: (request, reply) => logout(request, reply, parseForm(queryOf(request))),
      sendError,
      serves: 'people',
    },
    {
      path: '/logout',
      method: 'POST',
      handle: (request, reply) => logout(request, reply, requireForm(request)),
      sendError,
      serves: 'people',
    },
    { path: '/sign-out', method: 'POST', handle: signOut, sendError, serves: 'people' },
  ];
}
