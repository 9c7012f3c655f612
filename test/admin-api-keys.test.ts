import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import tap, { test } from 'tap';
import { startAdminApi } from './support/admin-api.ts';
import { get, post, registerClient, registerResource } from './support/issuer.ts';
import { keyturn } from './support/process.ts';
import { project } from './support/project.ts';

const { issuer, call, administrator, url } = await startAdminApi(tap);
await registerResource(issuer);
const machine = await registerClient(issuer);
const env = { DATABASE_URL: issuer.databaseUrl };

async function token(): Promise<string> {
  const { json } = await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: machine.basic });
  return json.access_token;
}

const kidOf = (jwt: string) => JSON.parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString()).kid;

test('the API says what the command line says', async (t) => {
  const lists = [
    ['/v1/clients', 'client', 'list'],
    ['/v1/resources', 'resource', 'list'],
    ['/v1/users', 'user', 'list'],
    ['/v1/roles', 'role', 'list'],
    ['/v1/keys', 'keys', 'list'],
  ] as const;
  for (const [path, ...command] of lists) {
    const { stdout } = await keyturn(env, ...command, '--json');
    t.same((await call('GET', path)).json.items, JSON.parse(stdout), command.join(' '));
  }
});

test('keys are rotated; who heard no answer turns nothing further', async (t) => {
  const before = await token();
  const signer = kidOf(before);
  const plan = await call('POST', '/v1/keys/rotate', { alg: 'ES256', now: true, replaces: signer, dry_run: true });
  t.match(plan.json.items, [{ alg: 'ES256', signer, changed: true }]);
  const [{ standby }] = plan.json.items;
  t.equal((await call('POST', '/v1/keys/rotate', { now: true })).status, 400, 'at once needs to say what for');
  const first = await call('POST', '/v1/keys/rotate', { now: true, replaces: signer });
  t.match(first.json.items, [{ alg: 'ES256', signer, standby, changed: true }]);
  await issuer.app.refresh();
  t.equal(kidOf(await token()), standby);
  t.same((await call('POST', '/v1/keys/rotate', { now: true, replaces: signer })).json, { items: [] });
  await issuer.app.refresh();
  t.equal(kidOf(await token()), standby, 'not the one after');
});

test('a key is revoked with all that it has signed', async (t) => {
  const stolen = await token();
  const kid = kidOf(stolen);
  const done = await call('POST', `/v1/keys/${kid}/revoke`, { reason: 'found on a memory stick' });
  t.match(done.json, { kid, already_revoked: false, successor: /./ });
  await issuer.app.refresh();
  const { json: jwks } = await get(issuer, '/.well-known/jwks.json');
  t.notOk(jwks.keys.some((key: { kid: string }) => key.kid === kid));
  t.equal((await call('GET', '/v1/keys')).status, 200);
  // The one that has signed the token of the admin API itself.
  t.match((await call('POST', `/v1/keys/${kidOf(administrator.token)}/revoke`)).json, { already_revoked: false });
  await issuer.app.refresh();
  t.equal((await call('GET', '/v1/keys')).status, 401);
});

test('a token is inspected and revoked by whoever may', async (t) => {
  const other = await startAdminApi(t);
  await registerResource(other.issuer);
  const client = await registerClient(other.issuer);
  const answer = await post(
    other.issuer,
    '/token',
    { grant_type: 'client_credentials' },
    { authorization: client.basic },
  );
  const jwt = answer.json.access_token;
  t.match((await other.call('POST', '/v1/tokens/inspect', { token: jwt })).json, { good: true });
  const done = await other.call('POST', '/v1/revocations', { token: jwt, reason: 'in a bug report' });
  t.match(done.json, { revoked: 'token', already_revoked: false });
  t.match((await other.call('POST', '/v1/revocations', { token: jwt })).json, { already_revoked: true });
  t.match((await other.call('POST', '/v1/tokens/inspect', { token: jwt })).json, { good: false });
  await other.issuer.app.refresh();
  const { json } = await get(other.issuer, '/revocations');
  t.equal(json.entries.length, 1, 'in the feed');

  t.equal((await other.call('POST', '/v1/revocations', {})).status, 400);
  t.equal((await other.call('POST', '/v1/revocations', { jti: 'a', client: client.id })).status, 400, 'two at once');
  t.match(await other.call('POST', '/v1/revocations', { token: 'a.b.c' }), { status: 400 });
  t.match(await other.call('POST', '/v1/tokens/inspect', { token: 'nonsense' }), { status: 400 });
  t.equal((await other.call('POST', '/v1/revocations', { client: other.administrator.id })).status, 403);
  t.match((await other.call('POST', '/v1/revocations', { client: client.id })).json, { revoked: 'client' });

  const { json: audit } = await other.call('GET', '/v1/audit?after=0');
  const revoked = audit.items.find(({ act }: { act: string }) => act === 'token revoked');
  t.match(revoked, { actor: `client ${other.administrator.id}`, address: '127.0.0.1', reason: 'in a bug report' });
  t.equal(audit.next, audit.items.at(-1).id);
  t.same((await other.call('GET', `/v1/audit?after=${audit.next}`)).json, { items: [], next: audit.next });
  t.equal((await other.call('GET', '/v1/audit?limit=2')).json.items.length, 2);
  t.notMatch(JSON.stringify(audit), jwt.split('.')[2], 'no token is in the audit');
});

test('its scopes and acts are those that the page names', async (t) => {
  const page = readFileSync(project('docs/admin-api.md'), 'utf8');
  const { json: document } = await call('GET', '/openapi.json');
  for (const [path, methods] of Object.entries<object>(document.paths)) {
    for (const method of Object.keys(methods)) {
      t.ok(page.includes(`\`${method.toUpperCase()} ${path.replace('/v1', '')}\``), `${method} ${path}`);
    }
  }
  for (const scope of Object.keys(document.components.securitySchemes.token.flows.clientCredentials.scopes)) {
    t.ok(page.includes(`\`${scope}\``), scope);
  }
});

test('what is no HTTP, too large or too slow harms nobody', async (t) => {
  const big = await call('POST', '/v1/clients', { client_name: 'x'.repeat(70_000) }, {});
  t.ok([401, 413].includes(big.status));
  const { port } = new URL(url);
  const answer = await new Promise<string>((resolve) => {
    const socket = connect(Number(port), '127.0.0.1', () => socket.end('nonsense\r\n\r\n'));
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('close', () => resolve(text));
  });
  t.match(answer, /^HTTP\/1.1 400 /);
});
