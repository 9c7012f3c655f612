/** Clients that others have written, over real sockets: what they accept, theirs will. */
import * as oauth from 'oauth4webapi';
import * as oidc from 'openid-client';
import tap, { type Test, test } from 'tap';
import type { Client } from '../src/protocol/client.ts';
import { createBrowser, outcomeOf } from './support/browser.ts';
import { get, orders, registerResource, startIssuer } from './support/issuer.ts';
import { redirectUri, registerApp, registerUser, signIn } from './support/people.ts';

const issuer = await startIssuer(tap, { listen: true });
await registerResource(issuer);
const ada = await registerUser(issuer);
const server = new URL(issuer.issuer);
const browser = createBrowser(issuer, { sockets: true });
const pathOf = ({ pathname, search }: URL) => pathname + search;
const http = { execute: [oidc.allowInsecureRequests] };

/** An app of that kind, as openid-client sees it. */
async function discover(values: Partial<Client> = {}): Promise<oidc.Configuration> {
  const { id, secret } = await registerApp(issuer, { grantTypes: ['authorization_code', 'refresh_token'], ...values });
  const authentication = {
    client_secret_basic: oidc.ClientSecretBasic(secret),
    client_secret_post: oidc.ClientSecretPost(secret),
    none: oidc.None(),
  }[values.authMethod ?? 'client_secret_basic'];
  const metadata = { id_token_signed_response_alg: values.idTokenAlg ?? 'RS256' };
  return oidc.discovery(server, id, metadata, authentication, http);
}

/** What openid-client sends a person with, and what it checks when they are back. */
async function begin(config: oidc.Configuration, parameters: Record<string, string> = {}) {
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
  const [expectedState, expectedNonce] = [oidc.randomState(), oidc.randomNonce()];
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    scope: 'openid profile email orders:read',
    code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: expectedState,
    nonce: expectedNonce,
    ...parameters,
  });
  return { url, checks: { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true } };
}

async function returned(url: URL): Promise<URL> {
  const { left } = await signIn(browser, pathOf(url));
  if (left === undefined) throw new Error('the browser did not come back to the client');
  return left;
}

const kinds: Record<string, Partial<Client>> = {
  'a confidential client with its secret in the header': { authMethod: 'client_secret_basic' },
  'a confidential client with its secret in the form': { authMethod: 'client_secret_post' },
  'a public client': { authMethod: 'none', secretDigests: [] },
  'a client with ES256': { idTokenAlg: 'ES256' },
};

test('openid-client: clients of all kinds sign a person in', async (t) => {
  for (const [kind, values] of Object.entries(kinds)) {
    const config = await discover(values);
    const { url, checks } = await begin(config, { max_age: '3600' });
    const tokens = await oidc.authorizationCodeGrant(config, await returned(url), { ...checks, maxAge: 3600 });
    t.match(tokens.claims(), { sub: ada.id, aud: config.clientMetadata().client_id });
    t.match(tokens, { token_type: 'bearer', expires_in: 600, scope: 'openid profile email orders:read' });
    const info = await oidc.fetchUserInfo(config, tokens.access_token, ada.id);
    t.match(info, { sub: ada.id, email: 'ada@example.org', name: 'Ada Lovelace' });
    const fresh = await oidc.refreshTokenGrant(config, tokens.refresh_token ?? '');
    t.equal(fresh.claims()?.sub, ada.id);
    t.equal((await oidc.fetchUserInfo(config, fresh.access_token, ada.id)).sub, ada.id, kind);
  }
});

test('openid-client: the signatures of ID tokens verify by the published keys', async (t) => {
  const config = await discover();
  oidc.enableNonRepudiationChecks(config);
  const { url, checks } = await begin(config);
  const tokens = await oidc.authorizationCodeGrant(config, await returned(url), checks);
  t.equal(tokens.claims()?.sub, ada.id);
});

test('openid-client: a native app on a loopback address, with whatever port it got (RFC 8252 §7.3)', async (t) => {
  const values = { authMethod: 'none', secretDigests: [], redirectUris: ['http://127.0.0.1/callback'] } as const;
  const config = await discover(values);
  const { url, checks } = await begin(config, { redirect_uri: 'http://127.0.0.1:51234/callback' });
  const back = await returned(url);
  t.equal(back.host, '127.0.0.1:51234');
  t.equal((await oidc.authorizationCodeGrant(config, back, checks)).claims()?.sub, ada.id);
});

test('openid-client: another app of the same person needs no password', async (t) => {
  const config = await discover({ skipConsent: true });
  const { url, checks } = await begin(config, { prompt: 'none' });
  const visit = await browser.open(pathOf(url));
  t.equal(outcomeOf(visit), 'code');
  const tokens = await oidc.authorizationCodeGrant(config, visit.left as URL, checks);
  t.equal(tokens.claims()?.sub, ada.id);
});

test('openid-client: what a client gives back is over, as introspection tells', async (t) => {
  for (const values of Object.values(kinds)) {
    const config = await discover(values);
    const { url, checks } = await begin(config);
    const tokens = await oidc.authorizationCodeGrant(config, await returned(url), checks);
    const refresh = tokens.refresh_token ?? '';
    if (values.authMethod !== 'none') {
      const claims = { sub: ada.id, client_id: config.clientMetadata().client_id, username: 'ada@example.org' };
      t.match(await oidc.tokenIntrospection(config, tokens.access_token), { active: true, ...claims });
      t.match(await oidc.tokenIntrospection(config, refresh, { token_type_hint: 'refresh_token' }), { active: true });
    }
    await oidc.tokenRevocation(config, refresh, { token_type_hint: 'refresh_token' });
    await oidc.tokenRevocation(config, tokens.access_token);
    if (values.authMethod !== 'none') {
      t.same(await oidc.tokenIntrospection(config, tokens.access_token), { active: false });
      t.same(await oidc.tokenIntrospection(config, refresh), { active: false });
    }
    t.equal(await failureOf(oidc.refreshTokenGrant(config, refresh)), 'invalid_grant');
    t.match(await failureOf(oidc.fetchUserInfo(config, tokens.access_token, ada.id)), /OAUTH_/);
  }
});

/** What a call was refused with, as openid-client names it. */
async function failureOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'nothing';
  } catch (error) {
    return (error as oidc.ResponseBodyError).error ?? (error as oidc.ClientError).code ?? String(error);
  }
}

test('openid-client: errors arrive as the errors they are', async (t) => {
  const config = await discover();
  const authorize = async (parameters: Record<string, string>) => {
    const { url, checks } = await begin(config, parameters);
    const { left } = await createBrowser(issuer, { sockets: true }).open(pathOf(url));
    return failureOf(oidc.authorizationCodeGrant(config, left as URL, checks));
  };
  t.equal(await authorize({ prompt: 'none' }), 'login_required');
  t.equal(await authorize({ request: 'e30.e30.' }), 'request_not_supported');
  t.equal(await authorize({ scope: 'nothing' }), 'invalid_scope');

  const { url, checks } = await begin(config);
  const back = await returned(url);
  const other = { ...checks, pkceCodeVerifier: oidc.randomPKCECodeVerifier() };
  t.equal(await failureOf(oidc.authorizationCodeGrant(config, back, other)), 'invalid_grant');
  await oidc.authorizationCodeGrant(config, back, checks);
  t.equal(await failureOf(oidc.authorizationCodeGrant(config, back, checks)), 'invalid_grant', 'a code works once');

  const stranger = new oidc.Configuration(config.serverMetadata(), config.clientMetadata().client_id, 'wrong');
  oidc.allowInsecureRequests(stranger);
  t.equal(await failureOf(oidc.authorizationCodeGrant(stranger, back, checks)), 'invalid_client');
  t.equal(await failureOf(oidc.fetchUserInfo(config, 'garbage', ada.id)), 'OAUTH_WWW_AUTHENTICATE_CHALLENGE');
});

test('openid-client: an answer of another issuer, or to another request, is not taken (mix-up, RFC 9207)', async (t) => {
  const config = await discover();
  for (const [name, value] of Object.entries({ iss: 'https://evil.example', state: 'another' })) {
    const { url, checks } = await begin(config);
    const back = await returned(url);
    back.searchParams.set(name, value);
    t.equal(await failureOf(oidc.authorizationCodeGrant(config, back, checks)), 'OAUTH_INVALID_RESPONSE', name);
    back.searchParams.delete(name);
    t.equal(await failureOf(oidc.authorizationCodeGrant(config, back, checks)), 'OAUTH_INVALID_RESPONSE', `no ${name}`);
  }
});

const insecure = { [oauth.allowInsecureRequests]: true };

async function asOauth(t: Test, values: Partial<Client>) {
  const { id, secret } = await registerApp(issuer, values);
  const discovered = await oauth.discoveryRequest(server, { ...insecure, algorithm: 'oauth2' });
  const as = await oauth.processDiscoveryResponse(server, discovered);
  t.equal(as.issuer, issuer.issuer);
  return { as, client: { client_id: id }, authentication: oauth.ClientSecretBasic(secret) };
}

test('oauth4webapi: the steps one by one, strictly', async (t) => {
  const { as, client, authentication } = await asOauth(t, {});
  const verifier = oauth.generateRandomCodeVerifier();
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
  const url = new URL(as.authorization_endpoint ?? '');
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: 'openid email orders:read',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    resource: orders.identifier,
    state,
    nonce,
  }).toString();
  const back = oauth.validateAuthResponse(as, client, await returned(url), state);
  const response = await oauth.authorizationCodeGrantRequest(
    as,
    client,
    authentication,
    back,
    redirectUri,
    verifier,
    insecure,
  );
  const checks = { expectedNonce: nonce, requireIdToken: true };
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, checks);
  await oauth.validateApplicationLevelSignature(as, response, insecure);
  t.equal(oauth.getValidatedIdTokenClaims(tokens)?.sub, ada.id);

  const asked = await oauth.userInfoRequest(as, client, tokens.access_token, insecure);
  t.match(await oauth.processUserInfoResponse(as, client, ada.id, asked), { sub: ada.id, email: 'ada@example.org' });

  const call = new Request(`${orders.identifier}/1`, { headers: { authorization: `Bearer ${tokens.access_token}` } });
  const claims = await oauth.validateJwtAccessToken(as, call, orders.identifier, insecure);
  t.match(claims, { sub: ada.id, client_id: client.client_id, scope: 'openid email orders:read' });
});

test('oauth4webapi: a machine gets its token, and it is not taken for a person’s', async (t) => {
  const { as, client, authentication } = await asOauth(t, { grantTypes: ['client_credentials'] });
  const response = await oauth.clientCredentialsGrantRequest(as, client, authentication, {}, insecure);
  const tokens = await oauth.processClientCredentialsResponse(as, client, response);
  t.equal((await get(issuer, '/userinfo', { authorization: `Bearer ${tokens.access_token}` })).status, 401);
});
