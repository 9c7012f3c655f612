import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Accounts } from '../../login/accounts.ts';
import { isCsrfValue } from '../../login/browser.ts';
import type { Ask, Browser, Pending } from '../../login/flow.ts';
import type { SignInProblem } from '../../login/pages/index.ts';
import type { Sessions } from '../../login/sessions.ts';
import { ProtocolError } from '../../protocol/error.ts';
import type { Session } from '../../protocol/session.ts';
import type { NumericDate } from '../../protocol/time.ts';
import { saveConsent } from '../../store/consent.ts';
import type { Database } from '../../store/database.ts';
import { noteChoice, noteConsent } from '../../store/interaction.ts';
import type { Revoker } from '../../tokens/revocation.ts';
import type { Endpoint } from '../endpoint.ts';
import type { Form } from '../form.ts';
import { redirect, requireForm, requireSameOrigin } from '../request.ts';
import type { BrowserServices } from './authorize.ts';

export interface SignInServices extends BrowserServices {
  readonly database: Database;
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly revoker: Revoker;
  now(): NumericDate;
}

/** A form of ours as it came, and the browser that sent it. */
interface OwnForm {
  readonly form: Form;
  readonly browser: Browser & { readonly secret: string };
  readonly interactionId: string;
}

/** A request that waits, and who is signed in. */
type SignedIn = Pending & { readonly session: Session; readonly browserSecret: string };

/**
 * Where our own forms post to. None of them decides anything: each writes down what the person did and sends the browser
 * back to /authorize, which decides anew.
 */
export function signInEndpoints(services: SignInServices): Endpoint[] {
  const { issuer, flow, cookies, pages, database, accounts, sessions, revoker, now } = services;

  function readOwnForm(request: FastifyRequest): OwnForm {
    const form = requireForm(request);
    requireSameOrigin(request, issuer);
    const browser = { session: cookies.session(request), secret: cookies.browser(request) ?? '' };
    return { form, browser, interactionId: form.get('interaction') ?? '' };
  }

  /** What every form of ours has to show before anything comes of it. */
  function requireCsrf({ form, browser }: OwnForm, session?: Session): void {
    if (!isCsrfValue(form.get('csrf'), browser.secret, session?.id)) {
      throw new ProtocolError('access_denied', 'the form is too old, or cookies are off; go back and try again');
    }
  }

  /** A form in which a person decides something, and who they are. */
  function decided(act: (reply: FastifyReply, form: Form, pending: SignedIn) => Promise<FastifyReply>): typeof signIn {
    return async (request, reply) => {
      const own = readOwnForm(request);
      const session = await sessions.find(own.browser.session, now());
      if (session === undefined) return backToAuthorize(reply, own.interactionId);
      requireCsrf(own, session);
      const pending = await flow.resume(own.interactionId, own.browser);
      return act(reply, own.form, { ...pending, session, browserSecret: own.browser.secret });
    };
  }

  function backToAuthorize(reply: FastifyReply, interactionId: string): FastifyReply {
    return redirect(reply, `${issuer}/authorize?interaction=${encodeURIComponent(interactionId)}`);
  }

  async function signIn(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const own = readOwnForm(request);
    requireCsrf(own);
    const { form, browser, interactionId } = own;
    const email = form.get('email') ?? '';
    const found = await authenticate(email, form.get('password') ?? '');
    if (typeof found === 'string') {
      const pending = await flow.resume(interactionId, browser);
      const ask: Ask = { ...pending, step: 'sign-in', session: undefined, browserSecret: browser.secret };
      if (found === 'busy') reply.header('retry-after', '2');
      return pages.ask(reply, ask, { email: email.slice(0, 254), problem: found });
    }
    const before = await sessions.find(browser.session, now());
    if (before !== undefined && before.user.id !== found.id)
      await revoker.endSession(before.id, 'another person signed in');
    const from = { ip: request.ip, userAgent: request.headers['user-agent'] ?? null };
    cookies.setSession(reply, await sessions.begin(found, ['pwd'], before, from, now()));
    return backToAuthorize(reply, interactionId);
  }

  async function authenticate(email: string, password: string) {
    try {
      return (await accounts.authenticate(email, password)) ?? ('wrong' satisfies SignInProblem);
    } catch (error) {
      if (error instanceof ProtocolError && error.code === 'temporarily_unavailable') return 'busy' as const;
      throw error;
    }
  }

  const chooseAccount = decided(async (reply, form, pending) => {
    if (form.get('decision') !== 'continue') return switchAccount(reply, pending);
    await noteChoice(database, pending.interaction.id, pending.session.user.id);
    return backToAuthorize(reply, pending.interaction.id);
  });

  const consent = decided(async (reply, form, pending) => {
    const { session, interaction, client } = pending;
    switch (form.get('decision')) {
      case 'allow':
        await saveConsent(database, session.user.id, client.id, pending.request.scope, now());
        await noteConsent(database, interaction.id, session.user.id, now());
        return backToAuthorize(reply, interaction.id);
      case 'switch':
        return switchAccount(reply, pending);
      default:
        return redirect(reply, await flow.refuse(pending, new ProtocolError('access_denied', 'the person said no')));
    }
  });

  function switchAccount(reply: FastifyReply, pending: SignedIn): FastifyReply {
    return pages.ask(reply, { ...pending, step: 'sign-in', session: undefined });
  }

  const post = (path: string, handler: typeof signIn): Endpoint => ({
    path,
    method: 'POST',
    handle: pages.orErrorPage(handler),
  });
  return [post('/sign-in', signIn), post('/choose-account', chooseAccount), post('/consent', consent)];
}
