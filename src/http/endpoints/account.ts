import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Passwords } from '../../crypto/password.ts';
import { type AccountOverviewOptions, accountOverview, changePassword } from '../../login/account.ts';
import { csrfValue, newBrowserSecret, readBrowserSecret } from '../../login/browser.ts';
import type { AccountNotice, AccountProblem, Pages, SignInProblem } from '../../login/pages/index.ts';
import type { Session } from '../../protocol/session.ts';
import { basePathOf, type Endpoint } from '../endpoint.ts';
import type { Form } from '../form.ts';
import {
  beginSession,
  type PasswordSignInServices,
  readOwnForm,
  requireCsrf,
  signInByForm,
  unlessBusy,
} from '../own-form.ts';
import { busyFor, type PageSender } from '../page-sender.ts';
import { redirect } from '../request.ts';

export interface AccountServices extends PasswordSignInServices, AccountOverviewOptions {
  readonly issuer: string;
  readonly pages: PageSender;
  readonly views: Pages;
  readonly passwords: Passwords;
}

/** What came of a form: something to say, in the session that the browser then has. */
interface Outcome {
  readonly session: Pick<Session, 'id' | 'user'>;
  readonly notice?: AccountNotice;
  readonly problem?: AccountProblem;
}

/**
 * A person's own page: their sessions, what they have allowed, their password. Whatever a form names is looked for among
 * what is theirs alone. Who is not signed in does that here, for this page and no client.
 */
export function accountEndpoints(services: AccountServices): Endpoint[] {
  const { issuer, cookies, pages, views, sessions, revoker, now } = services;
  const base = basePathOf(issuer);

  async function show(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const session = await sessions.find(cookies.session(request), now());
    const secret = readBrowserSecret(cookies.browser(request)) ?? newBrowserSecret();
    cookies.setBrowser(reply, secret);
    return session === undefined ? askToSignIn(reply, secret) : showAccount(reply, secret, { session });
  }

  function askToSignIn(reply: FastifyReply, secret: string, retry?: { email: string; problem: SignInProblem }) {
    const busy = retry?.problem === 'busy';
    if (busy) reply.header('retry-after', busyFor);
    const form = { action: `${base}/account/sign-in`, csrf: csrfValue(secret), email: '' };
    return pages.send(reply, busy ? 503 : 200, views.signIn({ ...form, ...retry }));
  }

  async function showAccount(reply: FastifyReply, secret: string, { session, ...said }: Outcome) {
    const overview = await accountOverview(services, session, now());
    const form = { action: `${base}/account`, csrf: csrfValue(secret, session.id), signOut: `${base}/logout` };
    const busy = said.problem === 'busy';
    if (busy) reply.header('retry-after', busyFor);
    return pages.send(reply, busy ? 503 : 200, views.account({ ...form, ...overview, ...said }));
  }

  async function signIn(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const own = readOwnForm(request, services);
    requireCsrf(own);
    const problem = await signInByForm(request, reply, own, services);
    if (problem === undefined) return redirect(reply, `${issuer}/account`);
    return askToSignIn(reply, own.browser.secret, { email: (own.form.get('email') ?? '').slice(0, 254), problem });
  }

  async function act(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const own = readOwnForm(request, services);
    const session = await sessions.find(own.browser.session, now());
    if (session === undefined) return redirect(reply, `${issuer}/account`);
    requireCsrf(own, session);
    return showAccount(reply, own.browser.secret, await outcomeOf(request, reply, own.form, session));
  }

  async function outcomeOf(
    request: FastifyRequest,
    reply: FastifyReply,
    form: Form,
    session: Session,
  ): Promise<Outcome> {
    const { user } = session;
    switch (form.get('act')) {
      case 'change-password':
        return changeOwnPassword(request, reply, form, session);
      case 'end-session':
        await revoker.endSession(form.get('session') ?? '', 'ended by its owner', user.id);
        return { session, notice: 'sessionEnded' };
      case 'withdraw-consent':
        await revoker.withdrawConsent(user.id, form.get('client') ?? '', 'consent withdrawn');
        return { session, notice: 'consentWithdrawn' };
      default:
        return { session };
    }
  }

  /** All sessions end with the old password; this browser begins a new one. */
  async function changeOwnPassword(
    request: FastifyRequest,
    reply: FastifyReply,
    form: Form,
    session: Session,
  ): Promise<Outcome> {
    const [current = '', wanted = '', repeated = ''] = ['current_password', 'new_password', 'repeated_password'].map(
      form.get,
    );
    const change = { current, wanted, repeated };
    const options = { ...services, changeUser: revoker.changeUser };
    const changed = await unlessBusy(() => changePassword(options, session.user, change));
    if (typeof changed === 'string') return { session, problem: changed };
    const id = await beginSession(request, reply, changed, undefined, services);
    return { session: { id, user: changed }, notice: 'passwordChanged' };
  }

  return [
    { path: '/account', method: 'GET', handle: pages.orErrorPage(show) },
    { path: '/account', method: 'POST', handle: pages.orErrorPage(act) },
    { path: '/account/sign-in', method: 'POST', handle: pages.orErrorPage(signIn) },
  ];
}
