import tap, { test } from 'tap';
import { listAuditEvents } from '../src/store/audit-event.ts';
import { startAdminApi } from './support/admin-api.ts';
import { createBrowser } from './support/browser.ts';
import { get, post, registerResource } from './support/issuer.ts';
import {
  authorizePath,
  newVerifier,
  obtainTokens,
  password,
  registerApp,
  registerUser,
  signIn,
} from './support/people.ts';

const { issuer, call, administrator } = await startAdminApi(tap);
await registerResource(issuer);
const app = await registerApp(issuer, { grantTypes: ['authorization_code', 'refresh_token'] });
const ada = '/v1/users/ada%40example.org';

/** What this client of the admin API has done, as the audit tells it. */
async function audited(): Promise<string[]> {
  const events = await listAuditEvents(issuer.database, { limit: 1_000 });
  return events.filter(({ actor }) => actor === `client ${administrator.id}`).map(({ act }) => act);
}

test('a person is added, shown, renamed and found by both names; nobody is added twice', async (t) => {
  const added = await call('POST', '/v1/users', { email: 'Ada@Example.org', password, name: 'Ada' });
  t.equal(added.status, 201);
  t.match(added.json, { sub: /^user_/, email: 'ada@example.org', name: 'Ada', roles: [], disabled_at: null });
  t.notMatch(added.text, password);
  t.same((await call('GET', ada)).json, added.json);
  t.same((await call('GET', `/v1/users/${added.json.sub}`)).json, added.json);
  t.match(await call('POST', '/v1/users', { email: 'ada@example.org', password }), {
    status: 409,
    json: { error: 'conflict', error_description: 'ada@example.org is there already' },
  });
  t.equal((await call('PATCH', ada, { name: 'Ada Lovelace' })).json.name, 'Ada Lovelace');
  t.equal((await call('GET', '/v1/users/nobody@example.org')).status, 404);
  t.match(await call('POST', '/v1/users', { email: 'eve@example.org', password: 'Password1!' }), {
    status: 400,
    json: { error_description: /^the password / },
  });
  t.match((await call('GET', '/v1/users')).json, { items: [{ email: 'ada@example.org' }], next: null });
  t.same(await audited(), ['user added', 'user changed']);
});

test('what ends sign-ins does so at once', async (t) => {
  const refused = async (token: string) => {
    await issuer.app.refresh();
    const { status } = await get(issuer, '/userinfo', { authorization: `Bearer ${token}` });
    return status === 401;
  };
  for (const [method, path, body] of [
    ['POST', `${ada}/sign-out`, undefined],
    ['POST', `${ada}/set-password`, { password }],
    ['POST', `${ada}/disable`, undefined],
    ['POST', '/v1/revocations', { user: 'ada@example.org', reason: 'left her phone in a train' }],
  ] as const) {
    const { json: tokens } = await obtainTokens(issuer, app);
    t.notOk(await refused(tokens.access_token), 'good before');
    t.equal((await call(method, path, body)).status, 200, path);
    t.ok(await refused(tokens.access_token), path);
    const refresh = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token };
    t.equal((await post(issuer, '/token', refresh, { authorization: app.basic })).status, 400, path);
    t.equal((await call(method, path, body)).status, 200, `${path} again`);
    if (path.endsWith('disable')) t.equal((await call('POST', `${ada}/enable`)).json.disabled_at, null);
  }
});

test('roles are added and given; the same again is no error', async (t) => {
  const clerk = { permissions: ['orders:refund'] };
  t.same((await call('PUT', '/v1/roles/clerk', clerk)).status, 201);
  t.same((await call('PUT', '/v1/roles/clerk', clerk)).status, 200);
  t.same((await call('PUT', '/v1/roles/clerk', { permissions: [] })).status, 409);
  t.same((await call('GET', '/v1/roles')).json, { items: [{ name: 'clerk', ...clerk }], next: null });
  t.match(await call('PUT', `${ada}/roles/nobody`), { status: 400 });
  for (const _ of ['first', 'again']) t.same((await call('PUT', `${ada}/roles/clerk`)).json.roles, ['clerk']);
  for (const _ of ['first', 'again']) t.same((await call('DELETE', `${ada}/roles/clerk`)).json.roles, []);
});

test('sessions are listed and ended', async (t) => {
  const browser = createBrowser(issuer);
  await signIn(browser, authorizePath(app.id, newVerifier().challenge));
  const sessions = `${ada}/sessions`;
  const [{ sid }] = (await call('GET', sessions)).json.items;
  t.equal((await call('DELETE', `/v1/sessions/${sid}`)).status, 200);
  t.equal((await call('DELETE', `/v1/sessions/${sid}`)).status, 200, 'again');
  t.same((await call('GET', sessions)).json.items, []);
  const silent = await browser.open(authorizePath(app.id, newVerifier().challenge, { prompt: 'none' }));
  t.equal(silent.left?.searchParams.get('error'), 'login_required');
  t.equal((await call('DELETE', '/v1/sessions/other')).status, 400);
});

test('a person is deleted, with all that is theirs', async (t) => {
  const { json: tokens } = await obtainTokens(issuer, app);
  t.match(await call('DELETE', ada), { status: 200, json: { deleted: true, email: 'ada@example.org' } });
  await issuer.app.refresh();
  t.equal((await get(issuer, '/userinfo', { authorization: `Bearer ${tokens.access_token}` })).status, 401);
  t.equal((await call('DELETE', ada)).status, 404);
  t.ok((await audited()).includes('user deleted'));
});

test('people come in pages, and the pages are all of them', async (t) => {
  const all = Array.from({ length: 7 }, (_, count) => `user${count}@example.org`);
  for (const email of all) await registerUser(issuer, { email });
  const seen: string[] = [];
  let pages = 0;
  for (let after: string | null = ''; after !== null; pages += 1) {
    const { json } = await call('GET', `/v1/users?limit=3&after=${encodeURIComponent(after)}`);
    seen.push(...json.items.map(({ email }: { email: string }) => email));
    after = json.next;
  }
  t.same([seen, pages], [all, 3]);
});
