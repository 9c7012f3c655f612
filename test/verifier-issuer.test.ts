/** The verifier and a real issuer, over real sockets: its tokens are good, and void as soon as they are revoked. */
import {
  checkCsrf,
  createVerifier,
  requirePermission,
  requireRole,
  requireScope,
  type VerifierOptions,
} from '@keyturn/verifier';
import tap, { type Test, test } from 'tap';
import { orders, post, registerClient, registerResource, startIssuer } from './support/issuer.ts';
import { obtainTokens, password, registerApp, registerUser } from './support/people.ts';
import { eventually } from './support/process.ts';
import { refusalOf } from './support/verifier.ts';

const rsa = 'https://rsa.example';
const issuer = await startIssuer(tap, { listen: true });
await registerResource(issuer);
await registerResource(issuer, { identifier: rsa, alg: 'RS256' });
const ada = await registerUser(issuer);
const machine = await registerClient(issuer, { resources: [orders.identifier, rsa] });
const app = await registerApp(issuer, { grantTypes: ['authorization_code', 'refresh_token'] });

function start(t: Test, values: Partial<VerifierOptions> = {}) {
  const verifier = createVerifier({ issuer: issuer.issuer, audience: orders.identifier, ...values });
  t.teardown(() => verifier.close());
  return verifier;
}

async function machineToken(resource = orders.identifier): Promise<string> {
  const form = { grant_type: 'client_credentials', resource };
  return (await post(issuer, '/token', form, { authorization: machine.basic })).json.access_token;
}

test('tokens of the issuer are good, whichever of its algorithms signed them', async (t) => {
  const audience = [orders.identifier, rsa];
  const verifier = start(t, { audience });
  await verifier.ready();
  for (const resource of audience) {
    const claims = await verifier.verify(await machineToken(resource));
    t.match(claims, { iss: issuer.issuer, aud: resource, sub: machine.id, client_id: machine.id });
    t.equal(claims.exp - claims.iat, 600);
  }
  const es256 = start(t, { audience, algorithms: ['ES256'] });
  t.equal(await refusalOf(es256, await machineToken()), undefined);
  t.equal(await refusalOf(es256, await machineToken(rsa)), 'key_unknown');
});

test('what else the issuer signs is no access token for a service', async (t) => {
  const { json } = await obtainTokens(issuer, app, { scope: 'openid orders:read' });
  const verifier = start(t);
  const claims = await verifier.verify(json.access_token);
  t.same(claims.aud, [orders.identifier, issuer.issuer]);
  t.match(claims, { sub: ada.id, scope: 'openid orders:read', gid: /^[\w-]{22}$/, amr: ['pwd'] });
  t.equal(await refusalOf(verifier, json.id_token), 'type_mismatch');
  t.equal(await refusalOf(verifier, json.refresh_token), 'type_mismatch');
  t.equal(await refusalOf(start(t, { audience: rsa }), json.access_token), 'audience_mismatch');
});

test('a token that is revoked is refused within a second, and so is all that came of its grant', async (t) => {
  const verifier = start(t);
  await verifier.ready();
  await eventually(() => verifier.status().revocations.source === 'stream');
  const { json } = await obtainTokens(issuer, app, { scope: 'openid orders:read' });
  const bystander = await machineToken();
  const one = await machineToken();
  for (const [token, revoked, { basic }] of [
    [one, one, machine],
    [json.access_token, json.refresh_token, app],
  ]) {
    t.equal(await refusalOf(verifier, token), undefined);
    t.equal((await post(issuer, '/revoke', { token: revoked }, { authorization: basic })).status, 200);
    const took = await eventually(async () => (await refusalOf(verifier, token)) === 'token_revoked');
    t.ok(took < 1_000, `${took} ms`);
  }
  t.equal(await refusalOf(verifier, bystander), undefined);
  t.equal(await refusalOf(start(t), one), 'token_revoked', 'also to a verifier that starts later');
});

test('a verifier may be a client of the issuer, with a place of its own at the stream', async (t) => {
  const known = start(t, { client: machine });
  const unknown = start(t, { client: { id: machine.id, secret: 'guessed' } });
  await Promise.all([known.ready(), unknown.ready()]);
  await eventually(() => known.status().revocations.source === 'stream');
  t.equal(unknown.status().revocations.source, 'polling');
});

test('a token from a cookie needs the value that was given beside it', async (t) => {
  const origin = 'http://app.localhost:4000';
  await registerClient(issuer, {
    firstParty: true,
    authMethod: 'none',
    secretDigests: [],
    origins: [origin],
    grantTypes: ['refresh_token'],
    scopes: ['orders:read'],
  });
  const response = await issuer.app.server.inject({
    method: 'POST',
    url: '/session',
    headers: { origin },
    payload: { email: ada.email, password },
  });
  const token = response.cookies.find(({ name }) => /^kt-client/.test(name))?.value ?? '';
  const claims = await start(t).verify(token);
  const { csrf_token } = response.json();
  checkCsrf(claims, csrf_token);
  const mismatch = { code: 'csrf_mismatch', error: 'invalid_request', status: 403 };
  for (const wrong of [undefined, null, '', `${csrf_token} `, csrf_token.slice(1), claims.csrf])
    t.throws(() => checkCsrf(claims, wrong), mismatch, String(wrong));
  t.throws(() => checkCsrf({}, csrf_token), mismatch, 'a token that came in no cookie has no such value');
});

test('scopes, roles and permissions are asked for by their whole names, and all of them', async (t) => {
  const claims = { scope: 'orders:read orders:write', roles: ['clerk'], permissions: ['refund', 'ship'] };
  requireScope(claims);
  requireScope(claims, 'orders:read');
  requireScope(claims, 'orders:write', 'orders:read');
  requireRole(claims, 'clerk');
  requirePermission(claims, 'ship', 'refund');
  const lacking = { error: 'insufficient_scope', status: 403 };
  for (const names of [['orders'], ['orders:read', 'admin'], ['orders:read orders:write'], ['']]) {
    t.throws(() => requireScope(claims, ...names), { ...lacking, code: 'scope_missing', scope: names.join(' ') });
    t.throws(() => requireRole(claims, ...names), { ...lacking, code: 'role_missing' });
    t.throws(() => requirePermission(claims, ...names), { ...lacking, code: 'permission_missing' });
  }
  t.throws(() => requireScope({}, 'orders:read'), { code: 'scope_missing' });
  t.throws(() => requireRole({}, 'clerk'), { code: 'role_missing' });
  t.throws(() => requirePermission({}, 'ship'), { code: 'permission_missing' });
});

test('after close nothing is verified, and nothing is left', async (t) => {
  const before = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const verifier = start(t);
  await verifier.ready();
  await eventually(() => verifier.status().revocations.source === 'stream');
  const token = await machineToken();
  await verifier.close();
  t.equal(await refusalOf(verifier, token), 'verifier_closed');
  await t.rejects(verifier.ready(), { code: 'verifier_closed' });
  t.equal(process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length, before);
  await verifier.close();

  const early = start(t);
  const waiting = early.verify(token).catch((error) => error.code);
  await early.close();
  t.equal(await waiting, 'verifier_closed', 'also where it was closed meanwhile');
});
