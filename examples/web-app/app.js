/**
 * A web app with a server of its own. Tokens stay on the server; the browser has a cookie with a random id and nothing else.
 * Sign-in by code and PKCE, refresh, sign-out here or everywhere, and sign-out from elsewhere (back channel).
 */
import { randomBytes } from 'node:crypto';
import cookie from '@fastify/cookie';
import Fastify from 'fastify';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as oidc from 'openid-client';
import { page } from './page.js';

const issuer = process.env.ISSUER ?? 'http://localhost:3000';
const clientId = process.env.CLIENT_ID || fail('CLIENT_ID is not set: keyturn client add prints it');
const clientSecret = process.env.CLIENT_SECRET || fail('CLIENT_SECRET is not set: keyturn client add prints it');
const name = process.env.NAME ?? 'Web app';
const api = process.env.API ?? 'http://localhost:4000';
const port = Number(process.env.PORT ?? 3001);
/** Where browsers find this app: an https address in production. */
const url = `http://localhost:${port}`;

// #region discovery
const options = {
  // An issuer on this very machine may be http; no other.
  execute: new URL(issuer).hostname === 'localhost' ? [oidc.allowInsecureRequests] : [],
};
const client = await oidc
  .discovery(new URL(issuer), clientId, {}, oidc.ClientSecretBasic(clientSecret), options)
  .catch((error) => fail(`no answer from the issuer at ${issuer}: ${error.message}`));
// #endregion

// Cookies know hosts and no ports, so that apps on localhost have to differ by name.
const prefix = url.startsWith('https:') ? '__Host-' : `${port}-`;
const cookieOptions = { path: '/', httpOnly: true, sameSite: 'lax', secure: url.startsWith('https:') };
const longestSession = 12 * 60 * 60 * 1000;

/** By the id in the browser's cookie. In production this is a store that several instances share and that forgets. */
const sessions = new Map();

function startSession(reply, tokens, person) {
  for (const [id, { startedAt }] of sessions) if (startedAt < Date.now() - longestSession) sessions.delete(id);
  const id = randomBytes(32).toString('base64url');
  const { sub, sid } = tokens.claims();
  const session = { sub, sid, name: person.name ?? person.email ?? sub, startedAt: Date.now() };
  keep(session, tokens);
  sessions.set(id, session);
  reply.setCookie(`${prefix}session`, id, cookieOptions);
}

function keep(session, tokens) {
  session.accessToken = tokens.access_token;
  session.expiresAt = Date.now() + (tokens.expiresIn() ?? 0) * 1000;
  session.refreshToken = tokens.refresh_token ?? session.refreshToken;
  session.idToken = tokens.id_token ?? session.idToken;
}

const server = Fastify();
await server.register(cookie);
server.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
  done(null, Object.fromEntries(new URLSearchParams(body))),
);
server.addHook('onRequest', async (request) => {
  request.session = sessions.get(request.cookies[`${prefix}session`]);
});
server.addHook('onSend', async (_request, reply) => {
  reply.header('cache-control', 'no-store');
  reply.header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
});

// People see that something is wrong, and the log what.
server.setErrorHandler((error, _request, reply) => {
  console.error(error);
  return send(reply.code(500), { problem: 'This did not work. It has been logged.' });
});

// #region sign-in
server.get('/sign-in', async (_request, reply) => {
  const [verifier, state, nonce] = [oidc.randomPKCECodeVerifier(), oidc.randomState(), oidc.randomNonce()];
  // One cookie for each sign-in under way, so that tabs side by side do not disturb each other.
  reply.setCookie(`${prefix}sign-in-${state}`, JSON.stringify({ verifier, nonce }), { ...cookieOptions, maxAge: 1800 });
  const location = oidc.buildAuthorizationUrl(client, {
    redirect_uri: `${url}/callback`,
    scope: 'openid profile email orders:read',
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
  });
  return reply.redirect(location.href, 303);
});

server.get('/callback', async (request, reply) => {
  const { state } = request.query;
  const begun = request.cookies[`${prefix}sign-in-${state}`];
  // Reloaded, or begun in another browser: nothing that could be finished here.
  if (begun === undefined) return reply.redirect('/', 303);
  reply.clearCookie(`${prefix}sign-in-${state}`, cookieOptions);
  const { verifier, nonce } = JSON.parse(begun);
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
  try {
    const tokens = await oidc.authorizationCodeGrant(client, new URL(request.url, url), checks);
    const person = await oidc.fetchUserInfo(client, tokens.access_token, tokens.claims().sub);
    startSession(reply, tokens, person);
  } catch (error) {
    if (!(error instanceof oidc.AuthorizationResponseError)) throw error;
    // The person said no (access_denied), or the request was not in order: error_description says what.
    return send(reply.code(403), { problem: `You are not signed in: ${error.error_description ?? error.error}` });
  }
  return reply.redirect('/', 303);
});
// #endregion

// #region refresh
/** An access token that lives a while longer. Rejects with `invalid_grant` where the sign-in has ended. */
async function freshToken(session) {
  if (session.expiresAt < Date.now() + 30_000) {
    // Requests side by side share one refresh.
    session.refreshing ??= oidc
      .refreshTokenGrant(client, session.refreshToken)
      .then((tokens) => keep(session, tokens))
      .finally(() => delete session.refreshing);
    await session.refreshing;
  }
  return session.accessToken;
}

async function callApi(session, path) {
  const call = async () => fetch(api + path, { headers: { authorization: `Bearer ${await freshToken(session)}` } });
  const answer = await call();
  if (answer.status !== 401) return answer;
  // Expired by the API's clock, or revoked: a refresh tells which.
  session.expiresAt = 0;
  return call();
}

server.get('/', async (request, reply) => {
  const { session } = request;
  if (session === undefined) return send(reply, {});
  try {
    const answer = await callApi(session, '/orders');
    if (answer.ok) return send(reply, { person: session.name, orders: (await answer.json()).orders });
    return send(reply, { person: session.name, problem: `The API answers ${answer.status}.` });
  } catch (error) {
    if (error.error === 'invalid_grant') {
      endSession(request, reply);
      return send(reply, { problem: 'Your sign-in has ended. Please sign in again.' });
    }
    // The issuer or the API is away. That is no reason to sign anybody out.
    console.error(error);
    return send(reply.code(503), { person: session.name, problem: 'Your orders cannot be shown just now.' });
  }
});
// #endregion

function endSession(request, reply) {
  sessions.delete(request.cookies[`${prefix}session`]);
  reply.clearCookie(`${prefix}session`, cookieOptions);
}

/** Forms of other sites come without our cookie (SameSite); those of neighbours on our site are refused by this. */
async function requireOwnForm(request, reply) {
  if (request.headers.origin !== url) return reply.code(403).send();
}

// #region sign-out
/** Here alone: the grant ends with its refresh token, the person stays signed in at the issuer. */
server.post('/sign-out-here', { onRequest: requireOwnForm }, async (request, reply) => {
  const { session } = request;
  endSession(request, reply);
  if (session !== undefined) await oidc.tokenRevocation(client, session.refreshToken);
  return reply.redirect('/', 303);
});

/** Everywhere: the issuer ends the person's session and tells all its apps. */
server.post('/sign-out', { onRequest: requireOwnForm }, async (request, reply) => {
  const { session } = request;
  endSession(request, reply);
  if (session === undefined) return reply.redirect('/', 303);
  const parameters = { id_token_hint: session.idToken, post_logout_redirect_uri: `${url}/` };
  return reply.redirect(oidc.buildEndSessionUrl(client, parameters).href, 303);
});
// #endregion

// #region back-channel
const keys = createRemoteJWKSet(new URL(client.serverMetadata().jwks_uri));
const logoutEvent = 'http://schemas.openid.net/event/backchannel-logout';

/** The issuer calls: somebody has signed out elsewhere, or was signed out (Back-Channel Logout §2.5 to §2.8). */
server.post('/backchannel-logout', async (request, reply) => {
  const { issuer } = client.serverMetadata();
  const expected = { issuer, audience: clientId, typ: 'logout+jwt', requiredClaims: ['iat', 'exp', 'jti'] };
  const claims = await jwtVerify(request.body?.logout_token ?? '', keys, expected).then(
    ({ payload }) => payload,
    () => undefined,
  );
  const isLogout = claims?.events?.[logoutEvent] !== undefined && claims.nonce === undefined;
  if (!isLogout || (claims.sid ?? claims.sub) === undefined) return reply.code(400).send({ error: 'invalid_request' });
  for (const [id, { sub, sid }] of sessions) {
    // Without a sid it is about all sessions of the person.
    if (claims.sid === undefined ? sub === claims.sub : sid === claims.sid) sessions.delete(id);
  }
  return reply.code(200).send();
});
// #endregion

function send(reply, content) {
  return reply.type('text/html; charset=utf-8').send(page({ title: name, ...content }));
}

function fail(message) {
  console.error(message);
  process.exit(2);
}

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.close());
await server.listen({ host: 'localhost', port });
console.log(`the web app listens on ${url}`);
