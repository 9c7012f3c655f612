import tap, { test } from 'tap';
import { createBrowser, type TestBrowser, type Visit } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { get, orders, post, registerResource, startIssuer, updateClient } from './support/issuer.ts';
import { elementsOf } from './support/markup.ts';
import { authorizePath, newVerifier, obtainTokens, password, registerApp, registerUser } from './support/people.ts';

const other = 'a rather different sentence';

const clock = createTestClock();
const issuer = await startIssuer(tap, { clock });
await registerResource(issuer);
const app = await registerApp(issuer, {
  grantTypes: ['authorization_code', 'refresh_token'],
  scopes: ['openid', 'profile', 'offline_access', 'orders:read'],
});

let people = 0;

/** Somebody new. */
async function person(): Promise<string> {
  people += 1;
  const email = `person-${people}@example.org`;
  await registerUser(issuer, { email });
  return email;
}

/** A browser in which they have signed in to their own page. */
async function enter(email: string, secret = password): Promise<TestBrowser> {
  const browser = createBrowser(issuer);
  await browser.open('/account');
  await browser.submit({ email, password: secret });
  return browser;
}

function titleOf({ html }: Visit): string {
  return elementsOf(html).find(({ name }) => name === 'h1')?.text ?? '';
}

function noteOf({ html }: Visit): string | undefined {
  return /role="(?:alert|status)"[^>]*>.*?<p>([^<]*)</s.exec(html)?.[1];
}

/** The hidden values of that name in the forms of a page, in order. */
function valuesOf({ html }: Visit, name: string): string[] {
  const found = elementsOf(html).filter(({ attributes }) => attributes.type === 'hidden' && attributes.name === name);
  return found.map(({ attributes }) => attributes.value ?? '');
}

async function isSignedIn(browser: TestBrowser): Promise<boolean> {
  return titleOf(await browser.open('/account')) === 'Your account';
}

function act(browser: TestBrowser, name: string, values: Record<string, string> = {}): Promise<Visit> {
  return browser.post('/account', { csrf: browser.hidden().csrf ?? '', act: name, ...values });
}

function changePassword(browser: TestBrowser, current: string, wanted: string, repeated = wanted): Promise<Visit> {
  const fields = { current_password: current, new_password: wanted, repeated_password: repeated };
  return act(browser, 'change-password', fields);
}

test('who is not signed in does that first, for no client', async (t) => {
  const email = await person();
  const browser = createBrowser(issuer);
  const page = await browser.open('/account');
  t.equal(titleOf(page), 'Sign in');
  t.equal(page.status, 200);
  t.match(await browser.submit({ email, password: 'wrong horse' }), { html: /do not belong together/, status: 200 });
  const account = await browser.submit({ email, password });
  t.equal(titleOf(account), 'Your account');
  t.match(account.html, new RegExp(email));
  t.match(account.headers, { 'cache-control': 'no-store', 'x-frame-options': 'DENY' });
  const { challenge } = newVerifier();
  const visit = await browser.open(authorizePath(app.id, challenge));
  t.match(visit.html, /value="allow"/, 'the session is the one that apps share');
});

test('password managers find the page where passwords change', async (t) => {
  const { status, headers } = await get(issuer, '/.well-known/change-password');
  t.same([status, headers.location], [303, `${issuer.issuer}/account`]);
});

test('a session that apps share shows this page without a password', async (t) => {
  const email = await person();
  const browser = createBrowser(issuer);
  await obtainTokens(issuer, app, {}, browser, email);
  t.equal(await isSignedIn(browser), true);
});

test('the page shows where one is signed in, and this browser among them', async (t) => {
  const email = await person();
  const browser = await enter(email);
  clock.advance(3600);
  const [older, newer] = [await enter(email), await enter(email)];
  const page = await browser.open('/account');
  t.match(page.html, /This browser/);
  t.equal(valuesOf(page, 'session').length, 2, 'the others can be ended');
  t.match(page.html, /signed in <time[^>]*>60 minutes ago/);
  for (const one of [older, newer]) t.equal(await isSignedIn(one), true);
});

test('one session is ended, and no other', async (t) => {
  const email = await person();
  const [browser, first, second] = [await enter(email), await enter(email), await enter(email)];
  const sid = String(first.cookies.get('kt_session')).replace(/\..*/, '');
  const page = await browser.open('/account');
  t.ok(valuesOf(page, 'session').includes(sid));
  t.equal(noteOf(await act(browser, 'end-session', { session: sid })), 'That session is ended.');
  t.same([await isSignedIn(browser), await isSignedIn(first), await isSignedIn(second)], [true, false, true]);
});

test('nobody can end a session of another person, nor withdraw their consent', async (t) => {
  const [ada, eve] = [await person(), await person()];
  const hers = createBrowser(issuer);
  await obtainTokens(issuer, app, {}, hers, ada);
  const sid = String(hers.cookies.get('kt_session')).replace(/\..*/, '');
  const browser = await enter(eve);
  for (const session of [sid, '', 'session_', "' OR 1=1 --", '%']) {
    await browser.open('/account');
    t.equal((await act(browser, 'end-session', { session })).status, 200);
  }
  await act(browser, 'withdraw-consent', { client: app.id });
  t.equal(await isSignedIn(hers), true);
  const { left } = await hers.open(authorizePath(app.id, newVerifier().challenge));
  t.ok(left?.searchParams.has('code'), 'what she allowed is still allowed');
});

test('a consent that is withdrawn ends what the client had, and it has to ask again', async (t) => {
  const email = await person();
  const browser = createBrowser(issuer);
  const scope = 'openid offline_access orders:read';
  const { json } = await obtainTokens(issuer, app, { scope, prompt: 'consent' }, browser, email);
  const page = await browser.open('/account');
  t.match(page.html, /Web shop/);
  t.match(page.html, new RegExp(orders.scopes['orders:read'] ?? 'missing'));
  t.same(valuesOf(page, 'client'), [app.id]);
  const after = await act(browser, 'withdraw-consent', { client: app.id });
  t.equal(noteOf(after), 'That access is withdrawn.');
  t.same(valuesOf(after, 'client'), []);
  const form = { grant_type: 'refresh_token', refresh_token: json.refresh_token };
  t.match(await post(issuer, '/token', form, { authorization: app.basic }), { json: { error: 'invalid_grant' } });
  await issuer.app.refresh();
  t.equal((await get(issuer, '/userinfo', { authorization: `Bearer ${json.access_token}` })).status, 401);
  t.match((await browser.open(authorizePath(app.id, newVerifier().challenge))).html, /value="allow"/);
});

test('a client that is gone is still shown, and what it was allowed can be withdrawn', async (t) => {
  const email = await person();
  const gone = await registerApp(issuer, { name: 'Gone soon' });
  const browser = createBrowser(issuer);
  await obtainTokens(issuer, gone, {}, browser, email);
  await updateClient(issuer.database, gone.id, async () => ({ disabledAt: clock.now() }));
  await issuer.app.refresh();
  t.match((await browser.open('/account')).html, /Gone soon/);
  t.same(valuesOf(await act(browser, 'withdraw-consent', { client: gone.id }), 'client'), []);
});

test('a new password ends everything else, and this browser goes on in a new session', async (t) => {
  const email = await person();
  const browser = await enter(email);
  const elsewhere = createBrowser(issuer);
  const { json } = await obtainTokens(issuer, app, { scope: 'openid offline_access' }, elsewhere, email);
  const before = browser.cookies.get('kt_session');
  await browser.open('/account');
  const visit = await changePassword(browser, password, other);
  t.equal(noteOf(visit), 'Your password is changed. You are signed out everywhere else.');
  t.equal(valuesOf(visit, 'session').length, 0, 'no other session is left');
  t.not(browser.cookies.get('kt_session'), before);
  t.equal(await isSignedIn(browser), true);
  t.equal(await isSignedIn(elsewhere), false);
  const old = createBrowser(issuer);
  old.cookies.set('kt_session', before ?? '');
  t.equal(await isSignedIn(old), false, 'the cookie from before is worth nothing');
  const form = { grant_type: 'refresh_token', refresh_token: json.refresh_token };
  t.match(await post(issuer, '/token', form, { authorization: app.basic }), { json: { error: 'invalid_grant' } });
  await issuer.app.refresh();
  t.equal((await get(issuer, '/userinfo', { authorization: `Bearer ${json.access_token}` })).status, 401);
  t.equal(await isSignedIn(await enter(email, password)), false);
  t.equal(await isSignedIn(await enter(email, other)), true);
});

test('a password is not changed without the current one, nor to one that is refused', async (t) => {
  const email = await person();
  const browser = await enter(email);
  const elsewhere = await enter(email);
  const cases: [string, string, string, RegExp][] = [
    ['not my password', other, other, /is not that one/],
    ['', other, other, /is not that one/],
    [password, other, `${other}!`, /are not the same/],
    [password, 'short', 'short', /at least 8/],
    [password, 'x'.repeat(129), 'x'.repeat(129), /at most 128/],
    [password, 'Password1', 'Password1', /guessed first/],
    [password, email, email, /little more than your name/],
    [password, 'eight\u0085or more', 'eight\u0085or more', /cannot be typed/],
    [password, '', '', /at least 8/],
  ];
  for (const [current, wanted, repeated, says] of cases) {
    await browser.open('/account');
    const visit = await changePassword(browser, current, wanted, repeated);
    t.match(noteOf(visit), says);
    t.notMatch(visit.html, new RegExp(`value="(${other}|${password})"`), 'no password comes back on the page');
  }
  t.equal(await isSignedIn(elsewhere), true);
  t.equal(await isSignedIn(await enter(email)), true);
});

test('of two changes at once one counts', async (t) => {
  const email = await person();
  const [one, two] = [await enter(email), await enter(email)];
  for (const browser of [one, two]) await browser.open('/account');
  const wanted = ['the first of two sentences', 'the second of two sentences'];
  const visits = await Promise.all(
    [one, two].map((browser, at) => changePassword(browser, password, wanted[at] ?? '')),
  );
  const changed = visits.map((visit) => /is changed/.test(noteOf(visit) ?? ''));
  t.equal(changed.filter(Boolean).length, 1);
  t.equal(await isSignedIn(await enter(email, wanted[changed.indexOf(true)])), true);
});
