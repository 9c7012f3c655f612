import { Validator } from '@seriousme/openapi-schema-validator';
import tap, { test } from 'tap';
import { adminResource, adminScopes } from '../src/admin/access.ts';
import { listAuditEvents } from '../src/store/audit-event.ts';
import { startAdminApi } from './support/admin-api.ts';
import { post, registerClient, registerResource } from './support/issuer.ts';
import { obtainTokens, registerApp, registerUser } from './support/people.ts';

const admin = await startAdminApi(tap);
const { issuer, call } = admin;
const audience = adminResource(issuer.issuer).identifier;
await registerResource(issuer);

test('it describes itself as OpenAPI 3.1, each act with the scope that it needs', async (t) => {
  const { status, json } = await call('GET', '/openapi.json', undefined, { authorization: '' });
  t.equal(status, 200);
  t.equal(json.openapi, '3.1.0');
  t.match(await new Validator().validate(json), { valid: true });
  const operations = Object.values(json.paths).flatMap((path) => Object.values(path as object));
  t.ok(operations.length > 5);
  const ids = new Set();
  for (const { operationId, summary, security, responses } of operations) {
    ids.add(operationId);
    t.ok(Object.hasOwn(adminScopes, security[0].token[0]), summary);
    t.ok(responses['200'].content['application/json'].schema, summary);
  }
  t.equal(ids.size, operations.length, 'a name for each');
  t.notOk('/metrics' in json.paths || '/openapi.json' in json.paths);
});

test('each act refuses whoever has no token of the admin API with its scope', async (t) => {
  const { json: document } = await call('GET', '/openapi.json');
  const none = await admin.tokenFor('admin:audit:read');
  const other = await admin.tokenFor('admin:resources:read');
  for (const [path, methods] of Object.entries<Record<string, { security: [{ token: [string] }] }>>(document.paths)) {
    for (const [method, { security }] of Object.entries(methods)) {
      const [{ token }] = security;
      const [needed] = token;
      const about = `${method} ${path}`;
      const lacking = needed === 'admin:audit:read' ? other : none;
      for (const authorization of ['', 'Basic eDp5', 'Bearer', 'Bearer x', 'Bearer a.b.c']) {
        const refused = await call(method.toUpperCase(), path, undefined, { authorization });
        t.equal(refused.status, 401, about);
        t.match(refused.headers['www-authenticate'], /^Bearer/, about);
      }
      const refused = await call(method.toUpperCase(), path, undefined, { authorization: `Bearer ${lacking}` });
      t.equal(refused.status, 403, about);
      t.match(refused.headers['www-authenticate'], `error="insufficient_scope"`, about);
      t.match(refused.headers['www-authenticate'], `scope="${needed}"`, about);
    }
  }
});

test('no other token of ours opens it', async (t) => {
  const refused = async (token: string, why: string) => {
    const { status, json } = await call('GET', '/v1/clients', undefined, { authorization: `Bearer ${token}` });
    t.match({ status, json }, { status: 401, json: { error: 'invalid_token' } }, why);
  };
  const { basic } = await registerClient(issuer, { scopes: ['admin:clients:read', 'orders:read'] });
  const machine = await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: basic });
  await refused(machine.json.access_token, 'for another service');

  await registerUser(issuer);
  const app = await registerApp(issuer);
  const { json: tokens } = await obtainTokens(issuer, app);
  await refused(tokens.access_token, 'of a person');
  await refused(tokens.refresh_token, 'a refresh token');
  await refused(tokens.id_token, 'an ID token');

  // No command and no act makes such a client; should there be one, what it gets for people is refused all the same.
  const ambitious = { resources: [audience], scopes: ['admin:clients:read'], skipConsent: true };
  const { json: person } = await obtainTokens(issuer, await registerApp(issuer, ambitious), {
    scope: 'admin:clients:read',
  });
  t.match(person, { access_token: /./, scope: 'admin:clients:read' }, 'the attack has a token');
  await refused(person.access_token, 'of a person, with an admin scope');
  t.equal((await call('GET', '/v1/clients')).status, 200);
});

test('who adds a client twice with one key has one', async (t) => {
  const body = { client_name: 'billing', grant_types: ['client_credentials'], audiences: ['https://orders.example'] };
  const key = { 'idempotency-key': 'billing-of-2026' };
  const first = await call('POST', '/v1/clients', body, key);
  t.equal(first.status, 201);
  t.match(first.json, { client_id: /^client_[a-z2-9]{16}$/, client_secret: /^ktcs_/, ...body });
  t.equal(first.headers['cache-control'], 'no-store');
  const again = await call('POST', '/v1/clients', body, key);
  t.same([again.status, again.json], [200, { ...first.json, client_secret: null }], 'the secret is not shown again');
  const other = await call('POST', '/v1/clients', { ...body, scope: 'orders:read' }, key);
  t.match({ ...other }, { status: 409, json: { error: 'conflict' } });
  const without = await call('POST', '/v1/clients', body);
  t.not(without.json.client_id, first.json.client_id);

  await issuer.app.refresh();
  const basic = `Basic ${Buffer.from(`${first.json.client_id}:${first.json.client_secret}`).toString('base64')}`;
  const token = await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: basic });
  t.equal(token.status, 200);

  const events = await listAuditEvents(issuer.database, { limit: 20 });
  const mine = events.filter(({ target }) => target === `client ${first.json.client_id}`);
  t.match(mine, [{ act: 'client changed', actor: `client ${admin.administrator.id}`, address: '127.0.0.1' }]);
  t.equal(mine.length, 1, 'what was not done twice is not written twice');
});

test('a rotation whose answer got lost takes away no secret that is in use', async (t) => {
  const { id, secret } = await registerClient(issuer);
  const tokenBy = async (one: string) => {
    const basic = `Basic ${Buffer.from(`${id}:${one}`).toString('base64')}`;
    return (await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: basic })).status;
  };
  const lost = await call('POST', `/v1/clients/${id}/rotate-secret`, { overlap: 60 });
  const heard = await call('POST', `/v1/clients/${id}/rotate-secret`, { overlap: 60 });
  await issuer.app.refresh();
  t.same(await Promise.all([secret, lost.json.client_secret, heard.json.client_secret].map(tokenBy)), [200, 200, 200]);
  const last = await call('POST', `/v1/clients/${id}/rotate-secret`, { revoke: true });
  const all = [secret, lost, heard, last].map((one) => (typeof one === 'string' ? one : one.json.client_secret));
  await issuer.app.refresh();
  t.same(await Promise.all(all.map(tokenBy)), [401, 401, 401, 200]);
  t.equal((await call('POST', `/v1/clients/${id}/rotate-secret`, { revoke: true, overlap: 5 })).status, 400);
});

test('a token of the admin API cannot make more of itself', async (t) => {
  const ambitious = { client_name: 'root', grant_types: ['client_credentials'], audiences: [audience] };
  const forbidden = { status: 403, json: { error: 'access_denied' } };
  t.match(await call('POST', '/v1/clients', { ...ambitious, scope: 'admin:keys:write' }), forbidden);
  const { id } = await registerClient(issuer);
  t.match(await call('PATCH', `/v1/clients/${id}`, { audiences: [audience], scope: 'admin:keys:write' }), forbidden);
  const me = `/v1/clients/${admin.administrator.id}`;
  t.match(await call('PATCH', me, { scope: 'admin:keys:write' }), forbidden);
  for (const act of ['rotate-secret', 'disable', 'enable']) t.match(await call('POST', `${me}/${act}`), forbidden, act);
  t.match(await call('PUT', `/v1/resources/${encodeURIComponent(audience)}`, {}), { status: 400 });
  t.match(await call('PATCH', `/v1/resources/${encodeURIComponent(issuer.issuer)}`, { access_ttl: 86_400 }), {
    status: 400,
  });
});

test('resource services are added, changed and listed in pages', async (t) => {
  const path = (name: string) => `/v1/resources/${encodeURIComponent(`https://${name}.example/a?b=c`)}`;
  const scopes = { 'stock:read': 'See what is there', 'stock:write': '' };
  const added = await call('PUT', path('stock'), { scopes });
  const stock = { audience: 'https://stock.example/a?b=c', scopes, alg: 'ES256', access_ttl: null };
  t.same([added.status, added.json], [201, stock]);
  const again = await call('PUT', path('stock'), { scopes });
  t.same([again.status, again.json], [200, stock]);
  t.match(await call('PUT', path('stock'), {}), { status: 409 });
  t.same((await call('PATCH', path('stock'), { access_ttl: 60 })).json, { ...stock, access_ttl: 60 });
  t.same((await call('PATCH', path('stock'), { access_ttl: null })).json, stock);
  t.equal((await call('PATCH', path('nothing'), { access_ttl: 60 })).status, 404);
  for (const name of ['one', 'two', 'three']) await call('PUT', path(name));

  const all: string[] = [];
  for (let after = ''; after !== 'end'; ) {
    const { json } = await call('GET', `/v1/resources?limit=2&after=${encodeURIComponent(after)}`);
    t.ok(json.items.length <= 2);
    all.push(...json.items.map((one: { audience: string }) => one.audience));
    after = json.next ?? 'end';
  }
  t.equal(all.length, 5);
  t.same(all, [...new Set(all)].sort());
});

test('what is malformed is refused by one sentence, and nothing is written', async (t) => {
  const client = { client_name: 'x', grant_types: ['client_credentials'], audiences: ['https://orders.example'] };
  const [clients, resources] = ['/v1/clients', `/v1/resources/${encodeURIComponent('https://new.example')}`];
  const before = (await call('GET', '/v1/clients?limit=1000')).text;
  const cases: [method: string, path: string, body: unknown, says: RegExp][] = [
    ['POST', clients, {}, /^client_name is missing$/],
    ['POST', clients, { client_name: 'x' }, /^a client needs a grant type$/],
    ['POST', clients, { ...client, secret: 'hunter2' }, /^body has a member that is not known here$/],
    ['POST', clients, { ...client, grant_types: ['password'] }, /^grant_types\/0 must be one of /],
    ['POST', clients, { ...client, grant_types: 'client_credentials' }, /^grant_types must be array$/],
    ['POST', clients, { ...client, pkce_required: 'yes' }, /^pkce_required must be boolean$/],
    ['POST', clients, { ...client, redirect_uris: ['http://evil.example'] }, /^redirect_uris\/0 must be an https URI/],
    ['POST', clients, { ...client, audiences: ['https://unknown.example'] }, /^there is no resource service/],
    ['POST', clients, { ...client, client_name: 'a\nb' }, /^client_name must be 1 to 200 characters/],
    ['POST', clients, '{"client_name":', /malformed/],
    ['POST', clients, '{"client_name":"x","__proto__":{"a":1}}', /malformed/],
    ['POST', clients, '[]', /^body must be object$/],
    ['PUT', resources, { access_ttl: 5 }, /^access_ttl must be >= 10$/],
    ['PUT', resources, { access_ttl: '60' }, /^access_ttl must be/],
    ['PUT', resources, { scopes: { 'a b': '' } }, /scope token/],
    ['PUT', '/v1/resources/not-a-uri', {}, /^audience must be an absolute URI/],
    ['PUT', resources, { alg: 'none' }, /^alg must be one of ES256/],
    ['PUT', resources, { alg: 'PS256' }, /^PS256 has no keys yet$/],
    ['GET', '/v1/clients?limit=0', undefined, /^limit must be >= 1$/],
    ['GET', '/v1/clients?limit=1e9', undefined, /^limit must be/],
    ['GET', '/v1/clients?everything=1', undefined, /^query has a member/],
    ['GET', '/v1/clients?limit=1&limit=2', undefined, /^limit must be/],
  ];
  for (const [method, path, body, says] of cases) {
    const { status, json } = await call(method, path, body);
    const about = `${method} ${path} ${JSON.stringify(body)}`;
    t.equal(status, 400, about);
    t.match(json, { error: 'invalid_request', error_description: says }, about);
    t.notMatch(json.error_description, 'hunter2');
  }
  t.match(await call('POST', clients, 'client_name=x', { 'content-type': 'application/x-www-form-urlencoded' }), {
    status: 400,
    json: { error_description: 'the body must be application/json' },
  });
  t.equal((await call('GET', '/v1/clients/client_nobody')).status, 404);
  t.equal((await call('GET', '/v1/nothing')).status, 404);
  t.equal((await call('GET', '/v1/clients?limit=1000')).text, before);
});

test('a token that is revoked is refused at once', async (t) => {
  const token = await admin.tokenFor('admin:clients:read');
  const authorization = `Bearer ${token}`;
  t.equal((await call('GET', '/v1/clients', undefined, { authorization })).status, 200);
  t.equal((await call('POST', '/v1/revocations', { token })).status, 200);
  t.equal((await call('GET', '/v1/clients', undefined, { authorization })).status, 401);
});
