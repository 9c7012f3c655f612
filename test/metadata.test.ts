import { createLocalJWKSet, jwtVerify } from 'jose';
import tap, { test } from 'tap';
import type { ClientAuthMethod } from '../src/protocol/client.ts';
import { basic, get, post, registerClient, registerResource, startIssuer, type TestIssuer } from './support/issuer.ts';

const atRoot = await startIssuer(tap);
const belowPath = await startIssuer(tap, { settings: { ISSUER: 'https://id.example/tenants/1' } });
const withoutResources = await metadataOf(atRoot);
for (const issuer of [atRoot, belowPath]) await registerResource(issuer);

/** The members that RFC 8414 §2, OpenID Connect Discovery §3 and the registry they share know. */
const registered = new Set(
  `issuer authorization_endpoint token_endpoint jwks_uri userinfo_endpoint revocation_endpoint introspection_endpoint
  end_session_endpoint scopes_supported response_types_supported response_modes_supported grant_types_supported
  acr_values_supported subject_types_supported id_token_signing_alg_values_supported claims_supported
  token_endpoint_auth_methods_supported revocation_endpoint_auth_methods_supported display_values_supported
  introspection_endpoint_auth_methods_supported code_challenge_methods_supported claim_types_supported
  authorization_response_iss_parameter_supported request_parameter_supported request_uri_parameter_supported
  claims_parameter_supported backchannel_logout_supported backchannel_logout_session_supported ui_locales_supported
  dpop_signing_alg_values_supported prompt_values_supported service_documentation`.split(/\s+/),
);

/** Those of our own (RFC 8414 §2 allows others): docs/revocation-feed.md. */
const own = ['revocations_endpoint', 'revocations_stream_endpoint'];

async function metadataOf(issuer: TestIssuer) {
  return (await get(issuer, `${new URL(issuer.issuer).pathname.replace(/\/$/, '')}/.well-known/openid-configuration`))
    .json;
}

/** Where a URL of the metadata leads: the status of a request without anything in it. */
async function statusOf(issuer: TestIssuer, url: string, method: 'GET' | 'HEAD' | 'POST'): Promise<number> {
  const { pathname } = new URL(url);
  return (await issuer.app.server.inject({ method, url: pathname })).statusCode;
}

test('the issuer is identical to what it is called, without a final slash', async (t) => {
  t.equal((await metadataOf(atRoot)).issuer, 'http://localhost:3000');
  t.equal((await metadataOf(belowPath)).issuer, 'https://id.example/tenants/1');
});

test('both names of the metadata show the same document', async (t) => {
  const [one, other] = await Promise.all([
    get(atRoot, '/.well-known/openid-configuration'),
    get(atRoot, '/.well-known/oauth-authorization-server'),
  ]);
  t.equal(one.status, 200);
  t.equal(one.text, other.text);
  t.equal(one.headers.etag, other.headers.etag);
});

test('the metadata of an issuer with a path is found inserted and appended', async (t) => {
  const found = [
    '/tenants/1/.well-known/openid-configuration',
    '/tenants/1/.well-known/oauth-authorization-server',
    '/.well-known/openid-configuration/tenants/1',
    '/.well-known/oauth-authorization-server/tenants/1',
  ];
  const expected = JSON.stringify(await metadataOf(belowPath));
  for (const path of found) t.equal((await get(belowPath, path)).text, expected, path);
  for (const name of ['openid-configuration', 'oauth-authorization-server', 'jwks.json']) {
    t.equal((await get(belowPath, `/.well-known/${name}`)).status, 404, name);
  }
});

test('the endpoints of an issuer with a path lie below it, and health is at the root as well', async (t) => {
  const metadata = await metadataOf(belowPath);
  t.equal(metadata.token_endpoint, 'https://id.example/tenants/1/token');
  t.equal(metadata.jwks_uri, 'https://id.example/tenants/1/.well-known/jwks.json');
  const client = await registerClient(belowPath);
  const form = { grant_type: 'client_credentials' };
  const { json } = await post(belowPath, '/tenants/1/token', form, { authorization: client.basic });
  const keys = createLocalJWKSet((await get(belowPath, '/tenants/1/.well-known/jwks.json')).json);
  const { payload } = await jwtVerify(json.access_token, keys, { issuer: 'https://id.example/tenants/1' });
  t.equal(payload.sub, client.id);
  t.equal((await post(belowPath, '/token', form, { authorization: client.basic })).status, 404);
  for (const path of ['/health/ready', '/tenants/1/health/ready'])
    t.equal((await get(belowPath, path)).status, 200, path);
});

test('every endpoint that is named is there', async (t) => {
  for (const issuer of [atRoot, belowPath]) {
    const metadata = await metadataOf(issuer);
    const named = Object.keys(metadata).filter((name) => /_(endpoint|uri)$/.test(name));
    t.ok(named.length >= 2);
    for (const name of named) {
      const url: string = metadata[name];
      t.ok(url.startsWith(`${issuer.issuer}/`), name);
      const posted = /^(token|revocation|introspection)_/.test(name);
      const method = posted ? 'POST' : name === 'revocations_stream_endpoint' ? 'HEAD' : 'GET';
      t.ok(![404, 405].includes(await statusOf(issuer, url, method)), name);
    }
  }
});

test('every endpoint that is there is named', async (t) => {
  const metadata = await metadataOf(atRoot);
  const paths = {
    authorization_endpoint: '/authorize',
    token_endpoint: '/token',
    revocation_endpoint: '/revoke',
    introspection_endpoint: '/introspect',
    userinfo_endpoint: '/userinfo',
    end_session_endpoint: '/logout',
    jwks_uri: '/.well-known/jwks.json',
    revocations_endpoint: '/revocations',
  };
  for (const [name, path] of Object.entries(paths)) {
    const there = (await get(atRoot, path)).status !== 404; // 405 where one posts
    t.equal(metadata[name], there ? atRoot.issuer + path : undefined, name);
  }
  t.equal(metadata.revocations_stream_endpoint, `${atRoot.issuer}/revocations/stream`);
});

test('every member is a registered one and says something', async (t) => {
  for (const [name, value] of Object.entries(await metadataOf(atRoot))) {
    t.ok(registered.has(name) || own.includes(name), name);
    t.not(JSON.stringify(value), '[]', `${name}: lists without elements are left out (RFC 8414 §3.2)`);
  }
});

test('the grant types that are named work, and no others', async (t) => {
  const { grant_types_supported: named } = await metadataOf(atRoot);
  t.ok(named.includes('client_credentials'));
  const device = 'urn:ietf:params:oauth:grant-type:device_code';
  for (const grant of [...named, 'authorization_code', 'refresh_token', 'password', device]) {
    const { json } = await post(atRoot, '/token', { grant_type: grant });
    t.equal(json.error !== 'unsupported_grant_type', named.includes(grant), grant);
  }
});

test('the authentication methods that are named work', async (t) => {
  const { token_endpoint_auth_methods_supported: named } = await metadataOf(atRoot);
  t.ok(named.includes('client_secret_basic'));
  for (const method of named as ClientAuthMethod[]) {
    const secrets = method === 'none' ? { secretDigests: [] } : {};
    const { id, secret } = await registerClient(atRoot, { authMethod: method, ...secrets });
    const form = {
      client_secret_basic: {},
      client_secret_post: { client_id: id, client_secret: secret },
      none: { client_id: id },
    }[method];
    const headers = method === 'client_secret_basic' ? { authorization: basic(id, secret) } : undefined;
    const { json } = await post(atRoot, '/token', { grant_type: 'client_credentials', ...form }, headers);
    t.not(json.error, 'invalid_client', method);
  }
});

test('the scopes that are named are those of OpenID Connect and of the resources', async (t) => {
  const { scopes_supported: named } = await metadataOf(atRoot);
  const identity = ['openid', 'profile', 'email', 'offline_access'];
  t.same(named, [...identity, 'orders:read', 'orders:write']);
  t.same(withoutResources.scopes_supported, identity);
});
