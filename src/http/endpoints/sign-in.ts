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

/**
 * Where our own forms post to. None of them decides anything: each writes down what the person did and sends the browser
 * back to /authorize, which decides anew.
 */
export function signInEndpoints(services: SignInServices): Endpoint[] {
  const { issuer, flow, cookies, pages, database, accounts, sessions, revoker, now } = services;

  /** What every form of ours has to show before it is read. */
  function readOwnForm(request: FastifyRequest): { form: Form; browser: Browser & { secret: string } } {
    const form = requireForm(request);
    const secret = cookies.browser(request);
    requireSameOrigin(request, issuer);
    if (secret === undefined || !isCsrfValue(form.get('csrf'), secret)) {
      throw new ProtocolError('access_denied', 'the form is too old, or cookies are off; go back and try again');
    }
    return { form, browser: { session: cookies.session(request), secret } };
  }

  async function resumeSignedIn(form: Form, browser: Browser): Promise<Pending & { session: Session }> {
    const pending = await flow.resume(form.get('interaction'), browser);
    const session = await sessions.find(browser.session, now());
    if (session === undefined)
      throw new ProtocolError('access_denied', 'nobody is signed in any more; go back and try again');
    return { ...pending, session };
  }

  function backToAuthorize(reply: FastifyReply, interactionId: string): FastifyReply {
    return redirect(reply, `${issuer}/authorize?interaction=${encodeURIComponent(interactionId)}`);
  }

  async function signIn(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { form, browser } = readOwnForm(request);
    const [email = '', interactionId = ''] = [form.get('email'), form.get('interaction')];
    const found = await authenticate(email, form.get('password') ?? '');
    if (typeof found === 'string') {
      const pending = await flow.resume(interactionId, browser);
      const ask: Ask = { ...pending, step: 'sign-in', session: undefined, browserSecret: browser.secret };
      if (found === 'busy') reply.header('retry-after', '2');
      return pages.ask(reply.code(found === 'busy' ? 503 : 200), ask, { email: email.slice(0, 254), problem: found });
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

  async function chooseAccount(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { form, browser } = readOwnForm(request);
    const pending = await resumeSignedIn(form, browser);
    if (form.get('decision') !== 'continue') return switchAccount(reply, pending, browser.secret);
    await noteChoice(database, pending.interaction.id, pending.session.user.id);
    return backToAuthorize(reply, pending.interaction.id);
  }

  async function consent(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { form, browser } = readOwnForm(request);
    const pending = await resumeSignedIn(form, browser);
    const { session, interaction, client } = pending;
    switch (form.get('decision')) {
      case 'allow':
        await saveConsent(database, session.user.id, client.id, pending.request.scope, now());
        await noteConsent(database, interaction.id, session.user.id, now());
        return backToAuthorize(reply, interaction.id);
      case 'switch':
        return switchAccount(reply, pending, browser.secret);
      default:
        return redirect(reply, await flow.refuse(pending, new ProtocolError('access_denied', 'the person said no')));
    }
  }

  function switchAccount(reply: FastifyReply, pending: Pending, browserSecret: string): FastifyReply {
    return pages.ask(reply, { ...pending, step: 'sign-in', session: undefined, browserSecret });
  }

  const post = (path: string, handler: typeof signIn): Endpoint => ({
    path,
    method: 'POST',
    handle: pages.orErrorPage(handler),
  });
  return [post('/sign-in', signIn), post('/choose-account', chooseAccount), post('/consent', consent)];
}
