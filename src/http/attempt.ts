/** Who tries to sign in, as a request shows it. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Attempt } from '../login/attempts.ts';
import type { KnownBrowsers } from '../login/known-browsers.ts';
import { foldEmail } from '../protocol/user.ts';
import { type AddressOf, whenceOf } from './address.ts';
import type { Cookies } from './cookies.ts';

export interface AttemptServices {
  readonly cookies: Cookies;
  readonly knownBrowsers: KnownBrowsers;
  readonly addressOf: AddressOf;
}

export async function attemptOf(
  request: FastifyRequest,
  email: string,
  { cookies, knownBrowsers, addressOf }: AttemptServices,
): Promise<Attempt> {
  const knownBrowser = await knownBrowsers.knows(cookies.known(request), foldEmail(email) ?? '');
  return { whence: whenceOf(request, addressOf), knownBrowser };
}

/** Has the browser remember that the account has signed in by it. */
export async function rememberBrowser(
  request: FastifyRequest,
  reply: FastifyReply,
  email: string,
  { cookies, knownBrowsers }: Pick<AttemptServices, 'cookies' | 'knownBrowsers'>,
): Promise<void> {
  cookies.setKnown(reply, await knownBrowsers.remember(cookies.known(request), email));
}
