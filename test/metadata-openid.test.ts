import { decodeJwt, decodeProtectedHeader } from 'jose';
import tap, { test } from 'tap';
import { createBrowser, outcomeOf } from './support/browser.ts';
import { get, startIssuer } from './support/issuer.ts';
import { authorizePath, newVerifier, obtainTokens, registerApp, registerUser } from './support/people.ts';

const issuer = await startIssuer(tap);
await registerUser(issuer);
const scopes = ['openid', 'profile', 'email', 'offline_access'];
const app = await registerApp(issuer, {
  skipConsent: true,
  resources: [],
  scopes,
  grantTypes: ['authorization_code', 'refresh_token'],
});
const browser = createBrowser(issuer);
const { json: tokens } = await obtainTokens(issuer, app, { scope: scopes.join(' ') }, browser);
const { json: metadata } = await get(issuer, '/.well-known/openid-configuration');
const { challenge } = newVerifier();
const ask = async (changes: Record<string, string>) =>
  outcomeOf(await browser.open(authorizePath(app.id, challenge, changes)));

test('what OpenID Connect Discovery §3 requires is there', async (t) => {
  const required = `issuer authorization_endpoint token_endpoint jwks_uri response_types_supported
    subject_types_supported id_token_signing_alg_values_supported`.split(/\s+/);
  for (const name of required) t.ok(metadata[name], name);
  t.same(metadata.subject_types_supported, ['public']);
  t.ok(metadata.id_token_signing_alg_values_supported.includes('RS256'));
  t.ok(metadata.scopes_supported.includes('openid'));
});

test('what would count as there unless it is denied is denied', async (t) => {
  t.equal(metadata.request_uri_parameter_supported, false);
  t.equal(metadata.request_parameter_supported, false);
  t.equal(metadata.claims_parameter_supported, false);
});

test('the claims that are named are those that come, in the ID token or from userinfo', async (t) => {
  const { json: info } = await get(issuer, '/userinfo', { authorization: `Bearer ${tokens.access_token}` });
  const come = new Set([...Object.keys(decodeJwt(tokens.id_token)), ...Object.keys(info)]);
  t.same([...metadata.claims_supported].sort(), [...come].sort());
});

test('each scope that is named can be had', async (t) => {
  t.same(tokens.scope.split(' '), metadata.scopes_supported);
});

test('the algorithms that are named for ID tokens can be had, and no other', async (t) => {
  for (const alg of metadata.id_token_signing_alg_values_supported) {
    const client = await registerApp(issuer, { skipConsent: true, resources: [], idTokenAlg: alg });
    const { json } = await obtainTokens(issuer, client, { scope: 'openid' }, browser);
    t.equal(decodeProtectedHeader(json.id_token).alg, alg);
  }
  const { keys } = (await get(issuer, '/.well-known/jwks.json')).json;
  const published = new Set(keys.map(({ alg }: { alg: string }) => alg));
  t.same([...published].sort(), [...metadata.id_token_signing_alg_values_supported].sort());
});

test('response types, response modes, challenge methods and prompts that are named work, and no others', async (t) => {
  const supported: Record<string, [parameter: string, others: string[]]> = {
    response_types_supported: ['response_type', ['token', 'id_token', 'code id_token', 'none']],
    response_modes_supported: ['response_mode', ['fragment', 'form_post', 'jwt']],
    code_challenge_methods_supported: ['code_challenge_method', ['plain']],
    prompt_values_supported: ['prompt', ['create']],
  };
  for (const [member, [parameter, others]] of Object.entries(supported)) {
    for (const value of metadata[member]) {
      const outcome = await ask({ [parameter]: value });
      t.match(outcome, /^(code|sign-in|consent|choose-account)$/, `${parameter}=${value}`);
    }
    for (const value of others) t.match(await ask({ [parameter]: value }), /^(invalid|unsupported)_/, value);
  }
});

test('answers carry iss, as is said (RFC 9207 §3)', async (t) => {
  t.equal(metadata.authorization_response_iss_parameter_supported, true);
  const { left } = await browser.open(authorizePath(app.id, challenge));
  t.equal(left?.searchParams.get('iss'), metadata.issuer);
});
