/** Access tokens for a machine, by its own credentials (RFC 6749 §4.4). */
import { setTimeout as delay } from 'node:timers/promises';
import * as oauth from 'oauth4webapi';

const attempts = 4;

/**
 * Calls what gives a response, and once more after each 429 or 503, when `Retry-After` says. Answers the last response.
 */
export async function patiently(call) {
  for (let attempt = 1; ; attempt++) {
    const response = await call();
    if (![429, 503].includes(response.status) || attempt === attempts) return response;
    const asked = Number(response.headers.get('retry-after') ?? 1);
    // With some chance in it: machines that were sent away together should not all come back together.
    await delay(Math.min(Number.isNaN(asked) ? 1 : asked, 60) * 1000 * (1 + Math.random() / 2));
  }
}

// #region tokens
/** One token for all calls, until shortly before it expires. */
export function createTokenSource({ issuer, clientId, clientSecret, scope, resource }) {
  const { hostname } = new URL(issuer);
  const options = { [oauth.allowInsecureRequests]: hostname === 'localhost' };
  const client = { client_id: clientId };
  const authentication = oauth.ClientSecretBasic(clientSecret);
  let server;
  let token;
  let asking;

  async function ask() {
    server ??= await oauth.processDiscoveryResponse(
      new URL(issuer),
      await patiently(() => oauth.discoveryRequest(new URL(issuer), { ...options, algorithm: 'oauth2' })),
    );
    const response = await patiently(() =>
      oauth.clientCredentialsGrantRequest(server, client, authentication, { scope, resource }, options),
    );
    const answer = await oauth.processClientCredentialsResponse(server, client, response);
    token = { text: answer.access_token, renewAt: Date.now() + Math.max(answer.expires_in - 30, 1) * 1000 };
  }

  return {
    /** A good access token. Calls side by side share one request. Rejects with what the issuer says. */
    async get() {
      if (token === undefined || Date.now() >= token.renewAt) {
        asking ??= ask().finally(() => {
          asking = undefined;
        });
        await asking;
      }
      return token.text;
    },
    /** A service has refused this one: the next is new. */
    drop(text) {
      if (token?.text === text) token = undefined;
    },
  };
}
// #endregion
