import { userInfo } from 'node:os';
import { decodeJwt } from 'jose';
import tap, { test } from 'tap';
import { type AuditEvent, forgetOldAuditEvents, listAuditEvents } from '../src/store/audit-event.ts';
import { createBrowser } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { orders, post, registerResource, startIssuer } from './support/issuer.ts';
import { authorizePath, newVerifier, obtainTokens, password, registerApp, registerUser } from './support/people.ts';
import { keyturn } from './support/process.ts';

const clock = createTestClock();
const issuer = await startIssuer(tap, { clock, settings: { TRUST_PROXY: 'loopback' } });
await registerResource(issuer);
const ada = await registerUser(issuer);
const app = await registerApp(issuer, { grantTypes: ['authorization_code', 'refresh_token'] });
const address = '198.51.100.7';
const env = { DATABASE_URL: issuer.databaseUrl, ISSUER: issuer.issuer, KEYS_DIR: issuer.keysDir };

let seen = 0;
/** What was written since it was asked last, without what differs each time. */
async function written(): Promise<Partial<AuditEvent>[]> {
  const events = await listAuditEvents(issuer.database, { after: seen, limit: 1_000 });
  seen = events.at(-1)?.id ?? seen;
  return events.map(({ id, at, ...event }) => event);
}

const admin = { actor: `admin ${userInfo().username}`, address: null };
const person = { actor: `user ${ada.id}`, address };

test('who signs in, allows an app and signs out is on record, with where from', async (t) => {
  await written();
  const browser = createBrowser(issuer, { address });
  await browser.open(authorizePath(app.id, newVerifier().challenge));
  await browser.submit({ email: ada.email, password: 'wrong' });
  await browser.submit({ email: 'hunter2 typed in the wrong field', password });
  await browser.submit({ email: ada.email, password });
  await browser.submit({ decision: 'allow' });
  const sid = browser.cookies.get('kt_session')?.split('.')[0];
  await browser.open('/logout');
  await browser.submit({ decision: 'sign-out' });
  const somebody = { actor: 'somebody', address, act: 'sign-in', refused: true, reason: null };
  const events = await written();
  t.match(events, [
    { ...somebody, target: `user ${ada.id}` },
    { ...somebody, target: null },
    { ...person, act: 'sign-in', target: `session ${sid}`, refused: false },
    { ...person, act: 'consent', target: `client ${app.id}` },
    { ...person, act: 'grant ended', reason: 'sign-out' },
    { ...person, act: 'session ended', target: `session ${sid}`, reason: 'sign-out' },
  ]);
  t.equal(events.length, 6);
  t.notMatch(JSON.stringify(events), /hunter2/, 'what was typed is not kept');
});

test('a token that comes twice, and what a client revokes', async (t) => {
  const tokens = await obtainTokens(issuer, app);
  const { gid } = decodeJwt(tokens.json.refresh_token) as { gid: string };
  const refresh = (token: string) =>
    post(issuer, '/token', { grant_type: 'refresh_token', refresh_token: token }, { authorization: app.basic });
  const next = (await refresh(tokens.json.refresh_token)).json;
  await refresh(next.refresh_token);
  await written();
  t.equal((await refresh(tokens.json.refresh_token)).status, 400);
  t.same(await written(), [
    {
      actor: 'issuer',
      address: '127.0.0.1',
      act: 'suspicious: refresh-token-reuse',
      target: `grant ${gid}`,
      reason: 'a refresh token came again that had been replaced: the grant has ended',
      refused: false,
    },
    {
      actor: `client ${app.id}`,
      address: '127.0.0.1',
      act: 'grant ended',
      target: `grant ${gid}`,
      reason: 'refresh token reuse',
      refused: false,
    },
  ]);
  const headers = { authorization: app.basic, 'x-forwarded-for': address };
  await post(issuer, '/revoke', { token: next.access_token }, headers);
  t.same(await written(), [], 'it was void already, with its grant');
  const other = await obtainTokens(issuer, app);
  await written();
  await post(issuer, '/revoke', { token: other.json.access_token }, headers);
  const { jti } = decodeJwt(other.json.access_token);
  t.match(await written(), [{ actor: `client ${app.id}`, address, act: 'token revoked', target: `token ${jti}` }]);
});

test('what administrators do is in the transaction that does it', async (t) => {
  const run = async (...args: string[]) => t.equal((await keyturn(env, ...args)).code, 0, args.join(' '));
  await run('resource', 'add', 'https://bills.example', '--scope', 'bills:read');
  await run('client', 'disable', app.id);
  await run('user', 'disable', ada.email);
  await run('role', 'add', 'clerk', '--permission', 'orders:refund');
  await run('resource', 'update', orders.identifier, '--access-ttl', '60');
  t.same(
    (await written()).map(({ actor, address: from, act, target }) => ({ actor, address: from, act, target })),
    [
      { ...admin, act: 'resource changed', target: 'resource https://bills.example' },
      { ...admin, act: 'client changed', target: `client ${app.id}` },
      { ...admin, act: 'user changed', target: `user ${ada.id}` },
      { ...admin, act: 'role changed', target: 'role clerk' },
      { ...admin, act: 'resource changed', target: `resource ${orders.identifier}` },
    ],
  );
  t.equal((await keyturn(env, 'client', 'disable', 'client_nobody')).code, 2);
  t.same(await written(), [], 'nothing was done');
});

test('keyturn audit shows it, to people and to programs', async (t) => {
  const list = await keyturn(env, 'audit', 'list', '--limit', '2');
  t.match(
    list.stdout,
    /^\S+Z {2}admin \S+ {2}role changed {2}role clerk\n\S+Z {2}admin .* {2}resource changed {2}resource https/,
  );
  const exported = (await keyturn(env, 'audit', 'export')).stdout.trim().split('\n');
  const events = exported.map((line) => JSON.parse(line) as AuditEvent);
  t.ok(events.length > 15);
  t.same(
    events.map(({ id }) => id),
    [...events.map(({ id }) => id)].sort((a, b) => a - b),
  );
  const after = await keyturn(env, 'audit', 'export', '--after', String(events.at(-2)?.id));
  t.same(
    after.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
    [events.at(-1)],
  );
  t.match(JSON.parse((await keyturn(env, 'audit', 'list', '--limit', '1', '--json')).stdout), [
    { act: 'resource changed' },
  ]);
  t.equal((await keyturn(env, 'audit', 'list', '--limit', 'x')).code, 2);
});

test('events go when AUDIT_RETENTION is over', async (t) => {
  const { database } = issuer;
  const events = await listAuditEvents(database, { after: 0, limit: 1_000 });
  await database.query("UPDATE audit_event SET at = at - interval '366 days' WHERE act = 'sign-in'");
  await forgetOldAuditEvents(database, 367 * 86_400);
  t.equal((await listAuditEvents(database, { after: 0, limit: 1_000 })).length, events.length);
  await forgetOldAuditEvents(database, 365 * 86_400);
  const left = await listAuditEvents(database, { after: 0, limit: 1_000 });
  t.ok(left.length > 5 && left.every(({ act }) => act !== 'sign-in'));
});
