/**
 * One of the demo's web apps: an OpenID Connect client such as any company has, written with openid-client. It knows the
 * issuer's URL and its own credentials, and nothing else of Keyturn.
 */
import { randomBytes } from 'node:crypto';
import cookie from '@fastify/cookie';
import Fastify, { type FastifyInstance } from 'fastify';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as oidc from 'openid-client';
import { appPage } from './app-page.ts';

export interface WebAppOptions {
  readonly name: string;
  readonly color: string;
  /** Where it is found. */
  readonly url: string;
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly ordersUrl: string;
}

/** What the app remembers of a browser. */
interface Visit {
  readonly verifier: string;
  readonly state: string;
  readonly nonce: string;
  signedIn?: { readonly name: string; readonly sid: string; readonly idToken: string; readonly accessToken: string };
}

export async function createWebApp(options: WebAppOptions): Promise<FastifyInstance> {
  const { name, color, url, issuer, clientId, clientSecret, ordersUrl } = options;
  const client = await oidc.discovery(new URL(issuer), clientId, clientSecret, oidc.ClientSecretBasic(clientSecret), {
    execute: [oidc.allowInsecureRequests], // the demo's issuer is http on this machine
  });
  const keys = createRemoteJWKSet(new URL(client.serverMetadata().jwks_uri as string));
  const visits = new Map<string, Visit>();
  const cookieName = `demo_${new URL(url).port}`;
  const server = Fastify();
  await server.register(cookie);
  server.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
    done(null, new URLSearchParams(body as string)),
  );
  const visitOf = (cookies: Record<string, string | undefined>) => visits.get(cookies[cookieName] ?? '');

  server.get('/', async (request, reply) => {
    const signedIn = visitOf(request.cookies)?.signedIn;
    const orders = signedIn && (await readOrders(ordersUrl, signedIn.accessToken));
    return reply.type('text/html; charset=utf-8').send(appPage({ name, color, person: signedIn?.name, orders }));
  });

  server.get('/sign-in', async (_request, reply) => {
    const visit: Visit = {
      verifier: oidc.randomPKCECodeVerifier(),
      state: oidc.randomState(),
      nonce: oidc.randomNonce(),
    };
    const id = randomBytes(16).toString('hex');
    visits.set(id, visit);
    const location = oidc.buildAuthorizationUrl(client, {
      redirect_uri: `${url}/callback`,
      scope: 'openid profile email orders:read',
      state: visit.state,
      nonce: visit.nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(visit.verifier),
      code_challenge_method: 'S256',
    });
    return reply.setCookie(cookieName, id, { path: '/', httpOnly: true, sameSite: 'lax' }).redirect(location.href, 303);
  });

  server.get('/callback', async (request, reply) => {
    const visit = visitOf(request.cookies);
    if (visit === undefined) return reply.redirect('/', 303);
    const tokens = await oidc.authorizationCodeGrant(client, new URL(request.url, url), {
      pkceCodeVerifier: visit.verifier,
      expectedState: visit.state,
      expectedNonce: visit.nonce,
    });
    const claims = tokens.claims() as oidc.IDToken;
    const person = await oidc.fetchUserInfo(client, tokens.access_token, claims.sub);
    visit.signedIn = {
      name: person.name ?? person.email ?? claims.sub,
      sid: String(claims.sid),
      idToken: tokens.id_token as string,
      accessToken: tokens.access_token,
    };
    return reply.redirect('/', 303);
  });

  server.get('/sign-out', async (request, reply) => {
    const signedIn = visitOf(request.cookies)?.signedIn;
    visits.delete(request.cookies[cookieName] ?? '');
    const parameters = { post_logout_redirect_uri: `${url}/`, ...(signedIn && { id_token_hint: signedIn.idToken }) };
    return reply.redirect(oidc.buildEndSessionUrl(client, parameters).href, 303);
  });

  // OpenID Connect Back-Channel Logout §2.5: who signed out elsewhere is signed out here.
  server.post('/backchannel-logout', async (request, reply) => {
    const token = (request.body as URLSearchParams).get('logout_token') ?? '';
    const { payload } = await jwtVerify(token, keys, { issuer, audience: clientId, typ: 'logout+jwt' });
    for (const [id, visit] of visits) if (visit.signedIn?.sid === payload.sid) visits.delete(id);
    return reply.header('cache-control', 'no-store').code(200).send();
  });
  return server;
}

async function readOrders(url: string, accessToken: string): Promise<string[] | string> {
  const answer = await fetch(url, { headers: { authorization: `Bearer ${accessToken}` } });
  if (!answer.ok) return `the orders API answers ${answer.status}`;
  return ((await answer.json()) as { orders: string[] }).orders;
}
