/**
 * A native app (RFC 8252), here a command: it signs the person in through their own browser, which comes back to a port of
 * this machine, and keeps the tokens for next time. A public client: what is on everybody's machine is no secret.
 *
 *   node app.js            shows the person's orders, after sign-in if need be
 *   node app.js sign-out   gives the tokens back and forgets them
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import * as oidc from 'openid-client';
import { forgetTokens, keepTokens, keptTokens } from './tokens.js';

const issuer = process.env.ISSUER ?? 'http://localhost:3000';
const clientId = process.env.CLIENT_ID;
const api = process.env.API ?? 'http://localhost:4000';
if (!clientId) {
  console.error('CLIENT_ID is not set: keyturn client add prints it');
  process.exit(2);
}

const options = { execute: new URL(issuer).hostname === 'localhost' ? [oidc.allowInsecureRequests] : [] };
const client = await oidc.discovery(new URL(issuer), clientId, {}, oidc.None(), options).catch((error) => {
  console.error(`no answer from the issuer at ${issuer}: ${error.message}`);
  process.exit(1);
});

// #region sign-in
/** Through the browser of the person. Answers the tokens; gives up after five minutes. */
async function signIn() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  // The issuer takes any port of the loopback address that was registered (RFC 8252 §7.3).
  const redirectUri = `http://127.0.0.1:${server.address().port}/callback`;
  const [verifier, state, nonce] = [oidc.randomPKCECodeVerifier(), oidc.randomState(), oidc.randomNonce()];
  const url = oidc.buildAuthorizationUrl(client, {
    redirect_uri: redirectUri,
    scope: 'openid profile offline_access orders:read',
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
  });
  console.log(`Sign in with your browser. If none opens, go to\n\n  ${url.href}\n`);
  openBrowser(url.href);
  try {
    const answer = await answerTo(server, redirectUri, state);
    const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
    return await oidc.authorizationCodeGrant(client, answer, checks);
  } finally {
    server.close();
  }
}

/** The URL by which the browser comes back. Whatever else knocks at the port is sent away. */
function answerTo(server, redirectUri, state) {
  return new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error('nobody has signed in within five minutes')), 300_000).unref();
    server.on('request', (request, response) => {
      const url = new URL(request.url, redirectUri);
      const isOurs = url.pathname === '/callback' && url.searchParams.get('state') === state;
      response.writeHead(isOurs ? 200 : 404, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
      response.end(isOurs ? 'Thank you. You can close this window and go back to the app.' : '');
      if (isOurs) resolve(url);
    });
  });
}
// #endregion

function openBrowser(url) {
  const openers = { darwin: ['open'], win32: ['rundll32', 'url.dll,FileProtocolHandler'] };
  const [command, ...args] = process.env.BROWSER ? [process.env.BROWSER] : (openers[process.platform] ?? ['xdg-open']);
  spawn(command, [...args, url], { stdio: 'ignore', detached: true })
    .on('error', () => {}) // there is none: the address stands on the terminal
    .unref();
}

// #region tokens
/** An access token, by the least trouble for the person: the one that is kept, a refresh, or a sign-in. */
async function accessToken({ mustBeNew = false } = {}) {
  const kept = await keptTokens();
  if (!mustBeNew && kept?.expiresAt > Date.now() + 30_000) return kept.accessToken;
  const tokens = (kept && (await refresh(kept))) ?? (await signIn());
  // Kept before it is used: a refresh token that has been replaced works no more.
  await keepTokens({
    accessToken: tokens.access_token,
    expiresAt: Date.now() + tokens.expiresIn() * 1000,
    refreshToken: tokens.refresh_token,
  });
  return tokens.access_token;
}

async function refresh({ refreshToken }) {
  try {
    return await oidc.refreshTokenGrant(client, refreshToken);
  } catch (error) {
    // Revoked, or unused for too long. Any other failure, such as no network, is not a reason to sign in again.
    if (error.error !== 'invalid_grant') throw error;
  }
}

async function signOut() {
  const kept = await keptTokens();
  if (kept !== undefined) await oidc.tokenRevocation(client, kept.refreshToken);
  await forgetTokens();
}
// #endregion

async function readOrders() {
  const call = (token) => fetch(`${api}/orders`, { headers: { authorization: `Bearer ${token}` } });
  let answer = await call(await accessToken());
  if (answer.status === 401) answer = await call(await accessToken({ mustBeNew: true }));
  if (!answer.ok) throw new Error(`the API answers ${answer.status}`);
  return (await answer.json()).orders;
}

try {
  if (process.argv[2] === 'sign-out') {
    await signOut();
    console.log('You are signed out.');
  } else {
    for (const order of await readOrders()) console.log(order);
  }
} catch (error) {
  console.error(error.error_description ?? error.message, error.cause?.code ?? '');
  process.exitCode = 1;
}
