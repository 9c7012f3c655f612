/** Forms of ours: what each has to show before it is read, and the one by which people sign in. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Accounts } from '../login/accounts.ts';
import { isCsrfValue, newBrowserSecret, readBrowserSecret } from '../login/browser.ts';
import type { Browser } from '../login/flow.ts';
import type { SignInProblem } from '../login/pages/index.ts';
import type { Sessions } from '../login/sessions.ts';
import { ProtocolError } from '../protocol/error.ts';
import type { Session } from '../protocol/session.ts';
import type { NumericDate } from '../protocol/time.ts';
import type { User } from '../protocol/user.ts';
import type { Actor } from '../store/audit-event.ts';
import { isDatabaseAway } from '../store/database-errors.ts';
import type { Revoker } from '../tokens/revocation.ts';
import { type AttemptServices, attemptOf, rememberBrowser } from './attempt.ts';
import type { Cookies } from './cookies.ts';
import type { Form } from './form.ts';
import { requireForm, requireSameOrigin } from './request.ts';

/** A form of ours as it came, and the browser that sent it. */
export interface OwnForm {
  readonly form: Form;
  readonly browser: Browser & { readonly secret: string };
}

/** Reads a form that a page of ours has posted. Throws `access_denied` where another site's has. */
export function readOwnForm(
  request: FastifyRequest,
  { issuer, cookies }: { readonly issuer: string; readonly cookies: Cookies },
): OwnForm {
  const form = requireForm(request);
  requireSameOrigin(request, issuer);
  return { form, browser: { session: cookies.session(request), secret: cookies.browser(request) ?? '' } };
}

/**
 * What every form of ours has to show before anything comes of it: that it was made for this browser, and, where a
 * person decides something by it, for this session.
 */
export function hasCsrf({ form, browser }: OwnForm, session?: Session): boolean {
  return isCsrfValue(form.get('csrf'), browser.secret, session?.id);
}

/** The same; throws `access_denied` where it does not. */
export function requireCsrf(own: OwnForm, session?: Session): void {
  if (!hasCsrf(own, session)) {
    throw new ProtocolError('access_denied', 'the form is too old, or cookies are off; go back and try again');
  }
}

/** The browser's secret, for the values in the forms that it is sent; a browser that has none gets one. */
export function provideSecret(request: FastifyRequest, reply: FastifyReply, cookies: Cookies): string {
  const secret = readBrowserSecret(cookies.browser(request)) ?? newBrowserSecret();
  cookies.setBrowser(reply, secret);
  return secret;
}

export interface PasswordSignInServices extends AttemptServices {
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly revoker: Revoker;
  now(): NumericDate;
}

/** Signs in whom a form says: their session's cookie is set. Answers what is wrong where it does not. */
export async function signInByForm(
  request: FastifyRequest,
  reply: FastifyReply,
  { form, browser }: OwnForm,
  services: PasswordSignInServices,
): Promise<SignInProblem | undefined> {
  const { accounts, sessions, revoker, now } = services;
  return unlessRefused(reply, async () => {
    const email = form.get('email') ?? '';
    const attempt = await attemptOf(request, email, services);
    const user = await accounts.authenticate(email, form.get('password') ?? '', attempt);
    if (user === undefined) return 'wrong';
    await rememberBrowser(request, reply, user.email, services);
    const before = await sessions.find(browser.session, now());
    if (before !== undefined && before.user.id !== user.id) {
      await revoker.by(personOf(request, user.id)).endSession(before.id, 'another person signed in');
    }
    await beginSession(request, reply, user, before, services);
    return undefined;
  });
}

/** Who acts by a request, for the audit. */
export function personOf(request: FastifyRequest, userId: string): Actor {
  return { actor: `user ${userId}`, address: request.ip };
}

/** Begins a session by password in this browser, and sets its cookie. Answers its id. */
export async function beginSession(
  request: FastifyRequest,
  reply: FastifyReply,
  user: User,
  before: Session | undefined,
  { cookies, sessions, now }: Pick<PasswordSignInServices, 'cookies' | 'sessions' | 'now'>,
): Promise<string> {
  const from = { ip: request.ip, userAgent: request.headers['user-agent'] ?? null };
  const cookie = await sessions.begin(user, ['pwd'], before, from, now());
  cookies.setSession(reply, cookie);
  return cookie.slice(0, cookie.indexOf('.'));
}

/**
 * What the work answers, or why it has to wait: too many are signing in just now, or the database is away; or too much
 * has failed of late. `Retry-After` is on the reply then.
 */
export async function unlessRefused<T>(reply: FastifyReply, work: () => Promise<T>): Promise<T | 'busy' | 'tooMany'> {
  try {
    return await work();
  } catch (error) {
    const refused = error instanceof ProtocolError && error.code === 'temporarily_unavailable' ? error : undefined;
    if (refused === undefined && !isDatabaseAway(error)) throw error;
    reply.header('retry-after', refused?.retryAfter ?? busyFor);
    return refused?.status === 429 ? 'tooMany' : 'busy';
  }
}

/** Seconds after which signing in is worth another try. */
const busyFor = 2;
