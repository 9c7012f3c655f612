import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Flow, WayBack } from '../../login/flow.ts';
import { ProtocolError } from '../../protocol/error.ts';
import type { Cookies } from '../cookies.ts';
import type { Endpoint } from '../endpoint.ts';
import { noteOutcome } from '../errors.ts';
import { parseForm } from '../form.ts';
import type { PageSender } from '../page-sender.ts';
import { queryOf, redirect, requireForm } from '../request.ts';

export interface BrowserServices {
  readonly issuer: string;
  readonly flow: Flow;
  readonly cookies: Cookies;
  readonly pages: PageSender;
}

/** Sends the browser back to the client. */
export function sendBack(reply: FastifyReply, { redirectTo, error }: WayBack): FastifyReply {
  if (error !== undefined) noteOutcome(reply, error);
  return redirect(reply, redirectTo);
}

/** What still fits into a request line together with everybody's headers. */
const longestQuery = 8 * 1024;

/**
 * The authorization endpoint (RFC 6749 §3.1, OpenID Connect Core §3.1.2): the only dispatcher of the browser flow. It
 * decides from stored state alone; each of our forms posts elsewhere and returns here, where it is decided again.
 */
export function authorizeEndpoints(services: BrowserServices): Endpoint[] {
  const { issuer, flow, cookies, pages } = services;
  const { sendError } = pages;

  async function answer(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const parameters = parseForm(queryOf(request));
    const browser = { session: cookies.session(request), secret: cookies.browser(request) };
    const outcome = await flow.proceed(parameters, browser);
    if ('redirectTo' in outcome) return sendBack(reply, outcome);
    cookies.setBrowser(reply, outcome.ask.browserSecret);
    return pages.ask(reply, outcome.ask);
  }

  return [
    {
      path: '/authorize',
      method: 'GET',
      metadata: (url) => ({
        authorization_endpoint: url,
        response_types_supported: ['code'],
        response_modes_supported: ['query'],
        code_challenge_methods_supported: ['S256'],
        authorization_response_iss_parameter_supported: true,
        prompt_values_supported: ['none', 'login', 'consent', 'select_account'],
        claims_parameter_supported: false,
        request_parameter_supported: false,
        request_uri_parameter_supported: false,
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256', 'ES256'],
      }),
      handle: answer,
      sendError,
      serves: 'people',
    },
    {
      path: '/authorize',
      method: 'POST',
      // From another site's page no cookie comes with a POST, so the request goes on as a GET of our own (Core §3.1.2.1).
      async handle(request, reply) {
        const { text } = requireForm(request);
        if (text.length > longestQuery) throw new ProtocolError('invalid_request', 'the request is too long');
        return reply
          .code(303)
          .header('location', `${issuer}/authorize?${text.replaceAll(' ', '+')}`)
          .send();
      },
      sendError,
      serves: 'people',
    },
  ];
}
