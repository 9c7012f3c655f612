import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose';
import tap, { type Test, test } from 'tap';
import { endSignIns, revokeRole } from '../src/protocol/user.ts';
import { createRevoker } from '../src/tokens/revocation.ts';
import { createBrowser } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { get, registerResource, startIssuer } from './support/issuer.ts';
import { type Answering, startLogoutReceiver } from './support/logout-receiver.ts';
import { authorizePath, newVerifier, obtainTokens, registerApp, registerUser } from './support/people.ts';

const goodbye = 'https://app.example/goodbye';
const clock = createTestClock();
const issuer = await startIssuer(tap, { clock });
await registerResource(issuer);
const ada = await registerUser(issuer);

/** An app that wants to be told, and its end of the back channel. */
async function addApp(t: Test, name: string, answering?: Answering) {
  const receiver = await startLogoutReceiver(t, answering);
  const grantTypes = ['authorization_code', 'refresh_token'];
  const scopes = ['openid', 'offline_access'];
  const values = { name, grantTypes, scopes, backchannelLogoutUri: receiver.uri, postLogoutRedirectUris: [goodbye] };
  return { ...(await registerApp(issuer, { ...values, skipConsent: true })), receiver };
}

async function signOut(browser: ReturnType<typeof createBrowser>) {
  await browser.open('/logout');
  return browser.submit({ decision: 'sign-out' });
}

/** The names on the signed-out page, each with what is said of it. */
function toldOn(html: string): Record<string, string> {
  const rows = html.matchAll(/<li[^>]*>.*?<bdi>([^<]*)<\/bdi><\/strong><p[^>]*>([^<]*)</gs);
  return Object.fromEntries([...rows].map(([, name = '', words = '']) => [name, words]));
}

/** The command line's way to end things: no server knows of it. */
const revoker = createRevoker({ database: issuer.database, now: clock.now, longestLife: () => 700 });

test('the metadata says where one signs out, and that clients are told with sid', async (t) => {
  const { json } = await get(issuer, '/.well-known/openid-configuration');
  t.match(json, {
    end_session_endpoint: `${issuer.issuer}/logout`,
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true,
  });
});

test('every client of the session is told, and no other', async (t) => {
  const shop = await addApp(t, 'Shop');
  const mail = await addApp(t, 'Mail');
  const offline = await addApp(t, 'Offline');
  const stranger = await addApp(t, 'Stranger');
  const browser = createBrowser(issuer);
  const { json } = await obtainTokens(issuer, shop, { scope: 'openid' }, browser);
  await obtainTokens(issuer, shop, { scope: 'openid' }, browser);
  await obtainTokens(issuer, mail, { scope: 'openid' }, browser);
  await obtainTokens(issuer, offline, { scope: 'openid offline_access' }, browser);
  await obtainTokens(issuer, stranger, { scope: 'openid' });
  const { html } = await signOut(browser);
  t.same(toldOn(html), { Shop: 'Signed out', Mail: 'Signed out', Offline: 'Signed out' });
  t.same(
    [shop, mail, offline, stranger].map(({ receiver }) => receiver.notices.length),
    [1, 1, 1, 0],
  );
  t.equal(decodeJwt((await shop.receiver.next()).token).sid, decodeJwt(json.id_token).sid);
});

test('a logout token is what Back-Channel Logout says', async (t) => {
  const app = await addApp(t, 'Shop');
  const browser = createBrowser(issuer);
  const { json } = await obtainTokens(issuer, app, { scope: 'openid' }, browser);
  await signOut(browser);
  const { method, headers, body, token } = await app.receiver.next();
  t.equal(method, 'POST');
  t.match(headers['content-type'], /^application\/x-www-form-urlencoded/);
  t.equal(body, `logout_token=${token}`);
  for (const name of ['cookie', 'authorization', 'origin', 'referer']) t.equal(headers[name], undefined, name);

  const keys = createLocalJWKSet((await get(issuer, '/.well-known/jwks.json')).json);
  const options = { issuer: issuer.issuer, audience: app.id, typ: 'logout+jwt' };
  const { payload, protectedHeader } = await jwtVerify(token, keys, {
    ...options,
    currentDate: new Date(clock.now() * 1000),
  });
  t.equal(protectedHeader.alg, 'RS256', "the client's algorithm for ID tokens");
  const { jti, ...claims } = payload;
  t.match(jti, /^[0-9a-f-]{36}$/);
  t.same(claims, {
    iss: issuer.issuer,
    sub: ada.id,
    aud: app.id,
    iat: clock.now(),
    exp: clock.now() + 120,
    sid: decodeJwt(json.id_token).sid,
    events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
  });
});

test('a logout token is no ID token: it does not sign out as a hint', async (t) => {
  const app = await addApp(t, 'Shop');
  const browser = createBrowser(issuer);
  await obtainTokens(issuer, app, { scope: 'openid' }, browser);
  await revoker.endSession(String(browser.cookies.get('kt_session')).replace(/\..*/, ''), 'test');
  await obtainTokens(issuer, app, { scope: 'openid' }, browser);
  clock.advance(2);
  await issuer.app.refresh();
  const { token } = await app.receiver.next();
  t.match((await browser.open(`/logout?id_token_hint=${token}`)).html, /value="sign-out"/);
});

test('the page says who was told, who could not be, and who is slow', async (t) => {
  const good = await addApp(t, 'Good');
  const bad = await addApp(t, 'Bad', (response) => response.writeHead(500).end());
  const slow = await addApp(t, 'Slow', () => {});
  const browser = createBrowser(issuer);
  for (const app of [good, bad, slow]) await obtainTokens(issuer, app, { scope: 'openid' }, browser);
  const { html } = await signOut(browser);
  t.match(toldOn(html), { Good: 'Signed out', Bad: /^Could not be reached/, Slow: /not answered yet/ });
});

test('who is back at a client finds the others told; one that hangs does not keep them', async (t) => {
  const mail = await addApp(t, 'Mail');
  const slow = await addApp(t, 'Slow', () => {});
  const browser = createBrowser(issuer);
  await obtainTokens(issuer, mail, { scope: 'openid' }, browser);
  const { json } = await obtainTokens(issuer, slow, { scope: 'openid' }, browser);
  const hint = new URLSearchParams({ id_token_hint: json.id_token, post_logout_redirect_uri: goodbye });
  const begun = performance.now();
  t.equal((await browser.open(`/logout?${hint}`)).left?.href, goodbye);
  t.ok(performance.now() - begun < 4_500, 'sooner than the attempt gives up');
  t.equal(mail.receiver.notices.length, 1);
  t.equal(slow.receiver.notices.length, 1);
});

test('a client is told long after its grant has been forgotten', async (t) => {
  const app = await addApp(t, 'Shop');
  const browser = createBrowser(issuer);
  await obtainTokens(issuer, app, { scope: 'openid' }, browser);
  clock.advance(12 * 3600);
  await issuer.database.query('DELETE FROM "grant"');
  t.same(toldOn((await signOut(browser)).html), { Shop: 'Signed out' });
});

test('a session that ends without a server being there is told by the next one', async (t) => {
  const app = await addApp(t, 'Shop');
  const browser = createBrowser(issuer);
  const { json } = await obtainTokens(issuer, app, { scope: 'openid' }, browser);
  const { sid } = decodeJwt(json.id_token) as { sid: string };
  const { logoutId } = await revoker.endSession(sid, 'test');
  t.match(logoutId, /^logout_/);
  clock.advance(2);
  await issuer.app.refresh();
  t.equal(decodeJwt((await app.receiver.next()).token).sid, sid);
  t.match(await revoker.endSession(sid, 'test'), { grants: [], logoutId: undefined }, 'and only once');
});

test('a person who is signed out everywhere: each client is told once, by sub alone', async (t) => {
  const shop = await addApp(t, 'Shop');
  const offline = await addApp(t, 'Offline');
  for (const browser of [createBrowser(issuer), createBrowser(issuer)]) {
    await obtainTokens(issuer, shop, { scope: 'openid' }, browser);
    await obtainTokens(issuer, offline, { scope: 'openid offline_access' }, browser);
    await signOut(browser);
    await obtainTokens(issuer, shop, { scope: 'openid' }, browser);
  }
  const before = [shop, offline].map(({ receiver }) => receiver.notices.length);
  t.same(before, [2, 2]);
  await revoker.changeUser(ada.id, endSignIns, 'user sign-out');
  clock.advance(2);
  await issuer.app.refresh();
  for (const { receiver } of [shop, offline]) {
    await receiver.next();
    await receiver.next();
    const { token } = await receiver.next();
    t.match(decodeJwt(token), { sub: ada.id, events: {} });
    t.notOk('sid' in decodeJwt(token), 'which means all sessions (Back-Channel Logout §2.4)');
    t.equal(receiver.notices.length, 3);
  }
});

test('a role that is taken away signs nobody out', async (t) => {
  const app = await addApp(t, 'Shop');
  const user = await registerUser(issuer, { email: 'clerk@example.org', roles: ['clerk'] });
  const browser = createBrowser(issuer);
  await obtainTokens(issuer, app, { scope: 'openid' }, browser, 'clerk@example.org');
  await revoker.changeUser(user.id, (found) => revokeRole(found, 'clerk'), 'user revoke-role');
  t.equal(await issuer.database.prisma.logoutDelivery.count({ where: { userId: user.id } }), 0);
  const { left } = await browser.open(authorizePath(app.id, newVerifier().challenge, { scope: 'openid' }));
  t.ok(left?.searchParams.has('code'));
});

test('a client of a person who is deleted is told', async (t) => {
  const app = await addApp(t, 'Shop');
  const user = await registerUser(issuer, { email: 'gone@example.org' });
  await obtainTokens(issuer, app, { scope: 'openid' }, createBrowser(issuer), 'gone@example.org');
  await revoker.deleteUser(user.id, 'user delete');
  clock.advance(2);
  await issuer.app.refresh();
  t.match(decodeJwt((await app.receiver.next()).token), { sub: user.id });
});

test('somebody else who signs in in the same browser ends the session before', async (t) => {
  const app = await addApp(t, 'Shop');
  await registerUser(issuer, { email: 'eve@example.org' });
  const browser = createBrowser(issuer);
  const { json } = await obtainTokens(issuer, app, { scope: 'openid' }, browser);
  const values = { scope: 'openid', prompt: 'login' };
  await obtainTokens(issuer, app, values, browser, 'eve@example.org');
  clock.advance(2);
  await issuer.app.refresh();
  const { token } = await app.receiver.next();
  t.equal(decodeJwt(token).sid, decodeJwt(json.id_token).sid);
});
