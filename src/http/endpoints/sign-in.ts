import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Ask, Pending } from '../../login/flow.ts';
import { ProtocolError } from '../../protocol/error.ts';
import type { Session } from '../../protocol/session.ts';
import { saveConsent } from '../../store/consent.ts';
import type { Database } from '../../store/database.ts';
import { noteChoice, noteConsent } from '../../store/interaction.ts';
import type { Endpoint } from '../endpoint.ts';
import type { Form } from '../form.ts';
import { type OwnForm, type PasswordSignInServices, readOwnForm, requireCsrf, signInByForm } from '../own-form.ts';
import { redirect } from '../request.ts';
import { type BrowserServices, sendBack } from './authorize.ts';

export interface SignInServices extends BrowserServices, PasswordSignInServices {
  readonly database: Database;
}

/** A request that waits, and who is signed in. */
type SignedIn = Pending & { readonly session: Session; readonly browserSecret: string };

/**
 * Where our own forms post to. None of them decides anything: each writes down what the person did and sends the browser
 * back to /authorize, which decides anew.
 */
export function signInEndpoints(services: SignInServices): Endpoint[] {
  const { issuer, flow, pages, database, sessions, now } = services;

  /** A form in which a person decides something, and who they are. */
  function decided(
    act: (request: FastifyRequest, reply: FastifyReply, form: Form, pending: SignedIn) => Promise<FastifyReply>,
  ): typeof signIn {
    return async (request, reply) => {
      const own = readOwnForm(request, services);
      const session = await sessions.find(own.browser.session, now());
      if (session === undefined) return backToAuthorize(reply, interactionOf(own));
      requireCsrf(own, session);
      const pending = await flow.resume(interactionOf(own), own.browser);
      return act(request, reply, own.form, { ...pending, session, browserSecret: own.browser.secret });
    };
  }

  function interactionOf({ form }: OwnForm): string {
    return form.get('interaction') ?? '';
  }

  function backToAuthorize(reply: FastifyReply, interactionId: string): FastifyReply {
    return redirect(reply, `${issuer}/authorize?interaction=${encodeURIComponent(interactionId)}`);
  }

  async function signIn(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const own = readOwnForm(request, services);
    requireCsrf(own);
    const problem = await signInByForm(request, reply, own, services);
    if (problem === undefined) return backToAuthorize(reply, interactionOf(own));
    const email = (own.form.get('email') ?? '').slice(0, 254);
    const browserSecret = own.browser.secret;
    if (problem === 'busy' || problem === 'tooMany') {
      return pages.comeBack(reply, { interaction: interactionOf(own), browserSecret, email }, problem);
    }
    const pending = await flow.resume(interactionOf(own), own.browser);
    const ask: Ask = { ...pending, step: 'sign-in', session: undefined, browserSecret };
    return pages.ask(reply, ask, { email, problem });
  }

  const chooseAccount = decided(async (_request, reply, form, pending) => {
    if (form.get('decision') !== 'continue') return switchAccount(reply, pending);
    await noteChoice(database, pending.interaction.id, pending.session.user.id);
    return backToAuthorize(reply, pending.interaction.id);
  });

  const consent = decided(async (request, reply, form, pending) => {
    const { session, interaction, client } = pending;
    switch (form.get('decision')) {
      case 'allow':
        await saveConsent(database, session.user.id, client.id, pending.request.scope, request.ip, now());
        await noteConsent(database, interaction.id, session.user.id, now());
        return backToAuthorize(reply, interaction.id);
      case 'switch':
        return switchAccount(reply, pending);
      default:
        return sendBack(reply, await flow.refuse(pending, new ProtocolError('access_denied', 'the person said no')));
    }
  });

  function switchAccount(reply: FastifyReply, pending: SignedIn): FastifyReply {
    return pages.ask(reply, { ...pending, step: 'sign-in', session: undefined });
  }

  const { sendError } = pages;
  return [
    { path: '/sign-in', method: 'POST', handle: signIn, sendError, serves: 'people' },
    { path: '/choose-account', method: 'POST', handle: chooseAccount, sendError, serves: 'people' },
    { path: '/consent', method: 'POST', handle: consent, sendError, serves: 'people' },
  ];
}
