/** A machine: calls an API every second, by itself and for nobody, until it is stopped. */
import { setTimeout as delay } from 'node:timers/promises';
import { createTokenSource, patiently } from './tokens.js';

const { CLIENT_ID: clientId, CLIENT_SECRET: clientSecret } = process.env;
const issuer = process.env.ISSUER ?? 'http://localhost:3000';
const api = process.env.API ?? 'http://localhost:4000';
if (!clientId || !clientSecret) {
  console.error('CLIENT_ID and CLIENT_SECRET are not set: keyturn client add prints them');
  process.exit(2);
}

const tokens = createTokenSource({
  ...{ issuer, clientId, clientSecret },
  scope: 'orders:read',
  resource: 'https://orders.example',
});

// #region call
async function callApi(path) {
  const call = async (token) => patiently(() => fetch(api + path, { headers: { authorization: `Bearer ${token}` } }));
  const token = await tokens.get();
  const answer = await call(token);
  if (answer.status !== 401) return answer;
  // It was revoked, or a key was. Once more with a new one, and no third time: then it is something else.
  tokens.drop(token);
  return call(await tokens.get());
}
// #endregion

for (;;) {
  try {
    const answer = await callApi('/orders');
    console.log(answer.status, await answer.text());
  } catch (error) {
    // invalid_client, of which the library says that it is a challenge. Trying again does not help.
    if (error.code === 'OAUTH_WWW_AUTHENTICATE_CHALLENGE') {
      console.error('the issuer refuses this client: it is not there, is disabled, or has another secret');
      process.exit(1);
    }
    console.error(error.error_description ?? error.message, error.cause?.code ?? '');
  }
  await delay(1000);
}
