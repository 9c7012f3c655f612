import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Passwords } from '../../crypto/password.ts';
import { type AccountOverviewOptions, accountOverview, changePassword } from '../../login/account.ts';
import { csrfValue } from '../../login/browser.ts';
import type { AccountNotice, AccountProblem, Pages, SignInProblem } from '../../login/pages/index.ts';
import type { Session } from '../../protocol/session.ts';
import { attemptOf } from '../attempt.ts';
import { basePathOf, type Endpoint } from '../endpoint.ts';
import type { Form } from '../form.ts';
import {
  beginSession,
  hasCsrf,
  type PasswordSignInServices,
  personOf,
  provideSecret,
  readOwnForm,
  signInByForm,
  unlessRefused,
} from '../own-form.ts';
import { type PageSender, statusOfProblem } from '../page-sender.ts';
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

/** What a sign-in that did not work leaves in its form. */
interface Retry {
  readonly email: string;
  readonly problem: SignInProblem;
}

/**
 * A person's own page: their sessions, what they have allowed, their password. Whatever a form names is looked for among
 * what is theirs alone. Who is not signed in does that here, for this page and no client.
 */
export function accountEndpoints(services: AccountServices): Endpoint[] {
  const { issuer, cookies, pages, views, sessions, revoker, now } = services;
  const { sendError } = pages;
  const base = basePathOf(issuer);

  async function show(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const session = await sessions.find(cookies.session(request), now());
    return session === undefined ? askToSignIn(request, reply) : showAccount(request, reply, { session });
  }

  function askToSignIn(request: FastifyRequest, reply: FastifyReply, retry?: Retry): FastifyReply {
    const csrf = csrfValue(provideSecret(request, reply, cookies));
    const page = views.signIn({ action: `${base}/account/sign-in`, csrf, email: '', ...retry });
    return pages.send(reply, statusOfProblem(retry?.problem), page);
  }

  async function showAccount(request: FastifyRequest, reply: FastifyReply, { session, ...said }: Outcome) {
    const overview = await accountOverview(services, session, now());
    const csrf = csrfValue(provideSecret(request, reply, cookies), session.id);
    const form = { action: `${base}/account`, csrf, signOut: `${base}/logout` };
    return pages.send(reply, statusOfProblem(said.problem), views.account({ ...form, ...overview, ...said }));
  }

  async function signIn(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const own = readOwnForm(request, services);
    const problem = hasCsrf(own) ? await signInByForm(request, reply, own, services) : 'expired';
    if (problem === undefined) return redirect(reply, `${issuer}/account`);
    return askToSignIn(request, reply, { email: (own.form.get('email') ?? '').slice(0, 254), problem });
  }

  async function act(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const own = readOwnForm(request, services);
    const session = await sessions.find(own.browser.session, now());
    if (session === undefined) return redirect(reply, `${issuer}/account`);
    if (!hasCsrf(own, session)) return showAccount(request, reply, { session, problem: 'expired' });
    return showAccount(request, reply, await outcomeOf(request, reply, own.form, session));
  }

  async function outcomeOf(
    request: FastifyRequest,
    reply: FastifyReply,
    form: Form,
    session: Session,
  ): Promise<Outcome> {
    const { user } = session;
    const own = revoker.by(personOf(request, user.id));
    switch (form.get('act')) {
      case 'change-password':
        return changeOwnPassword(request, reply, form, session);
      case 'end-session':
        await own.endSession(form.get('session') ?? '', 'ended by its owner', user.id);
        return { session, notice: 'sessionEnded' };
      case 'withdraw-consent':
        await own.withdrawConsent(user.id, form.get('client') ?? '', 'consent withdrawn');
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
    const options = { ...services, changeUser: revoker.by(personOf(request, session.user.id)).changeUser };
    const changed = await unlessRefused(reply, async () =>
      changePassword(options, session.user, change, await attemptOf(request, session.user.email, services)),
    );
    if (typeof changed === 'string') return { session, problem: changed };
    const id = await beginSession(request, reply, changed, undefined, services);
    return { session: { id, user: changed }, notice: 'passwordChanged' };
  }

  return [
    { path: '/account', method: 'GET', handle: show, sendError, serves: 'people' },
    { path: '/account', method: 'POST', handle: act, sendError, serves: 'people' },
    { path: '/account/sign-in', method: 'POST', handle: signIn, sendError, serves: 'people' },
    {
      // Where password managers send people who want another password (W3C, A Well-Known URL for Changing Passwords).
      path: '/.well-known/change-password',
      method: 'GET',
      fromRoot: ['/.well-known/change-password'],
      handle: (_request, reply) => redirect(reply, `${issuer}/account`),
      sendError,
      serves: 'people',
    },
  ];
}
