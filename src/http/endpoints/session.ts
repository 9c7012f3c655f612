import { randomBytes } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { newCode } from '../../crypto/code.ts';
import { digestSecret } from '../../crypto/handle.ts';
import type { GrantServices } from '../../grants/grant-type.ts';
import { authorizationOf } from '../../grants/redeemed.ts';
import { refreshToken } from '../../grants/refresh-token.ts';
import type { Accounts } from '../../login/accounts.ts';
import type { Client } from '../../protocol/client.ts';
import { ProtocolError } from '../../protocol/error.ts';
import type { NumericDate } from '../../protocol/time.ts';
import { addRedeemedGrant } from '../../store/grant.ts';
import type { Registry } from '../../store/registry.ts';
import { type Authorization, type Behind, narrow } from '../../tokens/authorization.ts';
import type { Mint } from '../../tokens/mint.ts';
import { whenceOf } from '../address.ts';
import { type AttemptServices, attemptOf, rememberBrowser } from '../attempt.ts';
import type { Cookies } from '../cookies.ts';
import type { Endpoint } from '../endpoint.ts';
import { personOf } from '../own-form.ts';
import type { SessionCookies } from '../session-cookies.ts';

export interface SessionServices extends Pick<AttemptServices, 'knownBrowsers' | 'addressOf'> {
  readonly registry: Registry;
  readonly accounts: Accounts;
  readonly grantServices: GrantServices;
  readonly mint: Mint;
  readonly cookies: SessionCookies;
  /** Those of the issuer's own pages. */
  readonly ownCookies: Cookies;
  now(): NumericDate;
  readonly onIssued?: ((grantType: string, alg: string) => void) | undefined;
}

/**
 * Sign-in of first-party web apps by a JSON call, with tokens in HttpOnly cookies. For pages of registered origins on the
 * issuer's own site alone. Each answer's `csrf_token` has to come back as `X-CSRF-Token` with whatever changes something;
 * its SHA-256 is in the tokens. It makes no session that other apps share.
 */
export function sessionEndpoints(services: SessionServices): Endpoint[] {
  const { registry, accounts, grantServices, mint, cookies, now } = services;
  const { knownBrowsers, addressOf, ownCookies } = services;
  const known = { cookies: ownCookies, knownBrowsers, addressOf };

  async function signIn(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const { email, password, client_id } = readBody(request.body);
    const client = await findClient(request, client_id);
    const user = await accounts.authenticate(email, password, await attemptOf(request, email, known));
    if (user === undefined)
      throw new ProtocolError('access_denied', 'e-mail address and password do not belong together');
    await rememberBrowser(request, reply, user.email, known);
    const createdAt = now();
    const expiresAt = createdAt + grantServices.grantLife(client);
    const { grantId } = newCode();
    const grant = {
      id: grantId,
      userId: user.id,
      clientId: client.id,
      sessionId: null,
      sid: null,
      scope: client.scopes,
      resources: client.resources,
      authTime: createdAt,
      amr: ['pwd'],
      userEpoch: user.grantEpoch,
      clientEpoch: client.grantEpoch,
      nonce: null,
    };
    await addRedeemedGrant(grantServices.database, grant, createdAt, expiresAt);
    const redeemed = { grant, generation: 1, expiresAt, user };
    return answer(reply, 'session', authorizationOf(client, redeemed, createdAt + grantServices.refreshIdle));
  }

  async function refresh(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const { client, token, csrf } = await readCookie(request);
    const parameter = (name: string) => (name === 'refresh_token' ? token : undefined);
    const authorization = await refreshToken.redeem(
      { client, parameter, csrf, now: now(), whence: () => whenceOf(request, addressOf) },
      grantServices,
    );
    return answer(reply, refreshToken.name, authorization);
  }

  async function end(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const { client, token, csrf } = await readCookie(request);
    const claims = await grantServices.reader.refreshToken(token);
    if (claims?.client_id === client.id && claims.csrf === csrf) {
      await grantServices.revoker.by(personOf(request, claims.sub)).endGrant(claims.gid, 'sign-out');
    }
    cookies.clear(reply, client);
    return reply.code(204).send();
  }

  /** The tokens into cookies, and the value to be sent beside them. */
  async function answer(
    reply: FastifyReply,
    how: string,
    { client, behind, ...rest }: Authorization,
  ): Promise<unknown> {
    const csrfToken = randomBytes(32).toString('base64url');
    const { refresh: next, ...person } = behind as Behind;
    if (next === undefined)
      throw new ProtocolError('unauthorized_client', 'the client lacks the grant type refresh_token');
    const bound: Behind = { ...person, csrf: digestSecret(csrfToken) };
    const authorization: Authorization = { ...rest, client, behind: bound };
    const target = narrow(authorization, { scope: undefined, resources: [] }, registry.resource);
    const issued = await mint.accessToken(authorization, target);
    services.onIssued?.(how, target.alg);
    cookies.set(reply, client, {
      access: issued.token,
      accessLife: issued.expiresIn,
      refresh: await mint.refreshToken(authorization, bound, next),
      refreshLife: next.expiresAt - now(),
    });
    return { csrf_token: csrfToken, expires_in: issued.expiresIn, scope: issued.scope };
  }

  /** The first-party client whose page calls (RFC 6454): by its origin, which only a browser sets. */
  async function findClient(request: FastifyRequest, wanted: string | undefined): Promise<Client> {
    const { origin, 'sec-fetch-site': site } = request.headers;
    const ids = origin === undefined ? [] : registry.firstPartyOf(origin);
    const crossSite = site !== undefined && site !== 'same-origin' && site !== 'same-site';
    if (ids.length === 0 || crossSite) throw new ProtocolError('access_denied', 'not for pages of this origin');
    if (wanted === undefined && ids.length > 1) throw new ProtocolError('invalid_request', 'client_id is missing');
    const id = wanted ?? (ids[0] as string);
    const client = ids.includes(id) ? await registry.client(id) : undefined;
    if (client === undefined || client.disabledAt !== null)
      throw new ProtocolError('access_denied', 'not for pages of this origin');
    return client;
  }

  /** The refresh token of the calling client, with the value that has to come beside it. */
  async function readCookie(request: FastifyRequest): Promise<{ client: Client; token: string; csrf: string }> {
    const client = await findClient(request, (request.query as { client_id?: string }).client_id);
    const token = cookies.refreshToken(request, client);
    const header = request.headers['x-csrf-token'];
    if (token === undefined) throw new ProtocolError('invalid_grant', 'nobody is signed in');
    if (typeof header !== 'string') throw new ProtocolError('access_denied', 'the X-CSRF-Token header is missing');
    return { client, token, csrf: digestSecret(header) };
  }

  const common = { readableBy: 'first-party origins', accepts: 'json', serves: 'people' } as const;
  return [
    { path: '/session', method: 'POST', ...common, handle: signIn },
    { path: '/session/refresh', method: 'POST', ...common, handle: refresh },
    { path: '/session', method: 'DELETE', ...common, handle: end },
  ];
}

function readBody(body: unknown): { email: string; password: string; client_id: string | undefined } {
  const { email, password, client_id } = (body ?? {}) as Record<string, unknown>;
  const inOrder =
    typeof email === 'string' &&
    typeof password === 'string' &&
    (client_id === undefined || typeof client_id === 'string');
  if (!inOrder) throw new ProtocolError('invalid_request', 'the body must be JSON with the texts email and password');
  return { email, password, client_id };
}
