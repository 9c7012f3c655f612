import tap, { test } from 'tap';
import { createBrowser, type TestBrowser, type Visit } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { get, post, registerResource, startIssuer, updateClient } from './support/issuer.ts';
import { authorizePath, newVerifier, obtainTokens, registerApp, registerUser } from './support/people.ts';

const goodbye = 'https://app.example/goodbye?from=keyturn';

const clock = createTestClock();
const issuer = await startIssuer(tap, { clock });
await registerResource(issuer);
await registerUser(issuer);
const app = await registerApp(issuer, { postLogoutRedirectUris: [goodbye], skipConsent: true });

/** Somebody who has just signed in to the app, in a browser of their own. */
async function enter(email = 'ada@example.org') {
  const browser = createBrowser(issuer);
  const { json } = await obtainTokens(issuer, app, {}, browser, email);
  return { browser, tokens: json as { id_token: string; access_token: string } };
}

function logoutPath(values: Record<string, string>): string {
  return `/logout?${new URLSearchParams(values)}`;
}

/** What came of a request to sign out, in a word. */
function resultOf({ status, html, left }: Visit): string {
  if (left !== undefined) return `to ${left.href}`;
  if (/value="sign-out"/.test(html)) return 'asks';
  return /You are signed out/.test(html) ? 'signed out' : `page ${status}`;
}

/** Whether an app would get a code without a question. */
async function isSignedIn(browser: TestBrowser): Promise<boolean> {
  const { left } = await browser.open(authorizePath(app.id, newVerifier().challenge, { prompt: 'none' }));
  return left?.searchParams.get('error') !== 'login_required';
}

test('with a hint that fits, a person is signed out and led back with state', async (t) => {
  const { browser, tokens } = await enter();
  const path = logoutPath({ id_token_hint: tokens.id_token, post_logout_redirect_uri: goodbye, state: 'a b&c' });
  t.equal(resultOf(await browser.open(path)), `to ${goodbye}&state=a+b%26c`);
  t.notOk(browser.cookies.has('kt_session'), 'the cookie is cleared');
  t.equal(await isSignedIn(browser), false, 'prompt=none answers login_required');
  await issuer.app.refresh();
  const info = await get(issuer, '/userinfo', { authorization: `Bearer ${tokens.access_token}` });
  t.equal(info.status, 401, 'the access token is void');
});

test('the session itself ends, not only its cookie', async (t) => {
  const { browser, tokens } = await enter();
  const thief = createBrowser(issuer);
  for (const [name, value] of browser.cookies) thief.cookies.set(name, value);
  t.equal(await isSignedIn(thief), true);
  await browser.open(logoutPath({ id_token_hint: tokens.id_token }));
  t.equal(await isSignedIn(thief), false);
});

test('refresh tokens end with the session; with offline_access they stay', async (t) => {
  const { browser } = await enter();
  const grantTypes = ['authorization_code', 'refresh_token'];
  const online = await registerApp(issuer, { grantTypes, skipConsent: true });
  const offline = await registerApp(issuer, { grantTypes, scopes: ['openid', 'offline_access'] });
  const first = await obtainTokens(issuer, online, {}, browser);
  const second = await obtainTokens(issuer, offline, { scope: 'openid offline_access', prompt: 'consent' }, browser);
  await browser.open(logoutPath({ id_token_hint: first.json.id_token }));
  const refresh = (app: { basic: string }, refresh_token: string) =>
    post(issuer, '/token', { grant_type: 'refresh_token', refresh_token }, { authorization: app.basic });
  t.match(await refresh(online, first.json.refresh_token), { status: 400, json: { error: 'invalid_grant' } });
  t.equal((await refresh(offline, second.json.refresh_token)).status, 200);
});

test('a code that was not redeemed yet ends with the session', async (t) => {
  const { browser, tokens } = await enter();
  const { verifier, challenge } = newVerifier();
  const { left } = await browser.open(authorizePath(app.id, challenge));
  await browser.open(logoutPath({ id_token_hint: tokens.id_token }));
  const form = { grant_type: 'authorization_code', redirect_uri: 'https://app.example/callback' };
  const code = left?.searchParams.get('code') ?? '';
  const answer = await post(issuer, '/token', { ...form, code, code_verifier: verifier }, { authorization: app.basic });
  t.match(answer, { status: 400, json: { error: 'invalid_grant' } });
});

test('another site may post, though no cookie comes along: the hint finds the session', async (t) => {
  const { browser, tokens } = await enter();
  const form = { id_token_hint: tokens.id_token, post_logout_redirect_uri: goodbye, client_id: app.id };
  const headers = { origin: 'https://app.example', 'sec-fetch-site': 'cross-site' };
  const answer = await post(issuer, '/logout', form, headers);
  t.equal(answer.status, 303);
  t.equal(answer.headers.location, goodbye, 'and without a state none is added');
  t.equal(answer.headers['set-cookie'], undefined, "a cookie that was not shown is not anybody's to clear");
  t.equal(await isSignedIn(browser), false);
});

test('a post without a hint goes on as our own GET, which asks', async (t) => {
  const { browser } = await enter();
  const form = { post_logout_redirect_uri: goodbye, client_id: app.id, state: 's' };
  const visit = await browser.post('/logout', form, { origin: 'https://app.example' });
  t.equal(resultOf(visit), 'asks');
  t.match(visit.html, /Web shop/);
  t.equal(resultOf(await browser.submit({ decision: 'sign-out' })), `to ${goodbye}&state=s`);
  t.equal(await isSignedIn(browser), false);
});

test('without a hint we ask, and who wants to stay stays', async (t) => {
  const { browser } = await enter();
  for (const values of [{}, { client_id: app.id }, { logout_hint: 'ada@example.org', ui_locales: 'de' }]) {
    t.equal(resultOf(await browser.open(logoutPath(values))), 'asks');
  }
  t.match((await browser.submit({ decision: 'stay' })).html, /Your account/);
  t.equal(await isSignedIn(browser), true);
  await browser.open('/logout');
  t.equal(resultOf(await browser.submit({ decision: 'sign-out' })), 'signed out');
  t.equal(await isSignedIn(browser), false);
});

test('an expired hint is as good as a fresh one', async (t) => {
  const { browser, tokens } = await enter();
  clock.advance(3 * 3600);
  await issuer.app.refresh();
  const path = logoutPath({ id_token_hint: tokens.id_token, post_logout_redirect_uri: goodbye });
  t.equal(resultOf(await browser.open(path)), `to ${goodbye}`);
  t.equal(await isSignedIn(browser), false);
});

test('a hint that is not ours, or that client_id contradicts, makes us ask and leads nowhere', async (t) => {
  const { browser, tokens } = await enter();
  const other = await registerApp(issuer, { postLogoutRedirectUris: [goodbye] });
  const [header = '', payload = '', signature = ''] = tokens.id_token.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
  const forged = Buffer.from(JSON.stringify({ ...claims, sub: 'user_else' })).toString('base64url');
  const none = Buffer.from(JSON.stringify({ alg: 'none', typ: 'JWT' })).toString('base64url');
  const hostile: [string, Record<string, string>][] = [
    ['changed', { id_token_hint: `${header}.${forged}.${signature}` }],
    ['without a signature', { id_token_hint: `${none}.${payload}.` }],
    ['cut short', { id_token_hint: tokens.id_token.slice(0, -1) }],
    ['an access token', { id_token_hint: tokens.access_token }],
    ['no token at all', { id_token_hint: '<script>alert(1)</script>' }],
    ['very long', { id_token_hint: 'x'.repeat(8_000) }],
    ['of another client', { id_token_hint: tokens.id_token, client_id: other.id }],
    ['of another client, which is unknown', { id_token_hint: tokens.id_token, client_id: 'client_none' }],
  ];
  for (const [name, values] of hostile) {
    const path = logoutPath({ client_id: app.id, post_logout_redirect_uri: goodbye, ...values });
    t.equal(resultOf(await browser.open(path)), 'asks', name);
    t.equal(await isSignedIn(browser), true, `${name}: nothing has ended`);
  }
  await browser.open(logoutPath({ ...hostile[0]?.[1], client_id: app.id, post_logout_redirect_uri: goodbye }));
  t.equal(resultOf(await browser.submit({ decision: 'sign-out' })), 'signed out', 'and then no address is followed');
});

test('a hint of another person does not sign this one out, nor does one of another session', async (t) => {
  const { browser, tokens } = await enter();
  await registerUser(issuer, { email: 'eve@example.org' });
  const eve = await enter('eve@example.org');
  const elsewhere = await enter();
  for (const hint of [eve.tokens.id_token, elsewhere.tokens.id_token]) {
    t.equal(resultOf(await browser.open(logoutPath({ id_token_hint: hint }))), 'asks');
    t.equal(await isSignedIn(browser), true);
    // A page of hers that posts it: no cookie comes along, and none is cleared.
    t.equal((await post(issuer, '/logout', { id_token_hint: hint })).headers['set-cookie'], undefined);
    t.equal(await isSignedIn(browser), true);
  }
  t.equal(await isSignedIn(eve.browser), false, 'she has signed herself out');
  t.equal(resultOf(await browser.open(logoutPath({ id_token_hint: tokens.id_token }))), 'signed out');
});

test('signing out again is no error, and leads to the same place', async (t) => {
  const { browser, tokens } = await enter();
  const path = logoutPath({ id_token_hint: tokens.id_token, post_logout_redirect_uri: goodbye, state: 's' });
  for (let time = 0; time < 3; time += 1) t.equal(resultOf(await browser.open(path)), `to ${goodbye}&state=s`);
  t.equal(resultOf(await browser.open('/logout')), 'signed out');
  t.equal(resultOf(await browser.open(logoutPath({ client_id: app.id }))), 'signed out');
});

test('a form that was posted before is no error', async (t) => {
  const { browser } = await enter();
  await browser.open('/logout');
  const form = { ...browser.hidden(), decision: 'sign-out' };
  t.equal(resultOf(await browser.post('/sign-out', form)), 'signed out');
  t.equal(resultOf(await browser.post('/sign-out', form)), 'signed out');
});

test('a disabled client has no say', async (t) => {
  const { browser, tokens } = await enter();
  await updateClient(issuer.database, app.id, async () => ({ disabledAt: clock.now() }));
  await issuer.app.refresh();
  const path = logoutPath({ id_token_hint: tokens.id_token, post_logout_redirect_uri: goodbye });
  t.equal(resultOf(await browser.open(path)), 'asks');
});
