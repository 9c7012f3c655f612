import tap, { test } from 'tap';
import { createBrowser, type TestBrowser } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { get, post, registerResource, startIssuer } from './support/issuer.ts';
import { elementsOf } from './support/markup.ts';
import { obtainTokens, password, registerApp, registerUser } from './support/people.ts';

const hostile = `"><script>alert(1)</script><img src=x onerror='alert(2)'>`;
const wanted = 'a rather different sentence';

const issuer = await startIssuer(tap, { clock: createTestClock() });
await registerResource(issuer);
await registerUser(issuer, { name: hostile });
await registerUser(issuer, { email: 'eve@example.org' });
const app = await registerApp(issuer, { name: hostile });

async function enter(email = 'ada@example.org'): Promise<TestBrowser> {
  const browser = createBrowser(issuer);
  await obtainTokens(issuer, app, {}, browser, email);
  await browser.open('/account');
  return browser;
}

/** Everything that a form of the page can do. */
async function acts(): Promise<[string, Record<string, string>][]> {
  const elsewhere = await enter();
  const session = String(elsewhere.cookies.get('kt_session')).replace(/\..*/, '');
  const passwords = { current_password: password, new_password: wanted, repeated_password: wanted };
  return [
    ['change-password', passwords],
    ['end-session', { session }],
    ['withdraw-consent', { client: app.id }],
  ];
}

/** What there is to lose: the password, the sessions, the consents. */
async function state(): Promise<unknown> {
  const { prisma } = issuer.database;
  const user = await prisma.user.findUnique({ where: { email: 'ada@example.org' } });
  const sessions = await prisma.session.findMany({ select: { id: true }, orderBy: { id: 'asc' } });
  return { user, sessions, consents: await prisma.consent.findMany({ orderBy: { userId: 'asc' } }) };
}

test('no form of this page can be posted by another site', async (t) => {
  const browser = await enter();
  const { csrf = '' } = browser.hidden();
  const foreign: Record<string, string>[] = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'http://localhost:3001' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'none' },
  ];
  for (const [act, values] of await acts()) {
    const before = await state();
    for (const headers of foreign) {
      t.equal((await browser.post('/account', { csrf, act, ...values }, headers)).status, 403, act);
    }
    t.same(await state(), before, act);
  }
});

test('no form of this page works without the value made for this browser and this session', async (t) => {
  const browser = await enter();
  const { csrf = '' } = browser.hidden();
  const elsewhere = (await enter()).hidden().csrf ?? '';
  const anonymous = createBrowser(issuer);
  anonymous.cookies.set('kt_browser', browser.cookies.get('kt_browser') ?? '');
  await anonymous.open('/account');
  const ofSignIn = anonymous.hidden().csrf ?? '';
  for (const [act, values] of await acts()) {
    const before = await state();
    for (const value of [undefined, '', 'x', csrf.slice(1), `${csrf}A`, elsewhere, ofSignIn]) {
      const visit = await browser.post('/account', { ...(value !== undefined && { csrf: value }), act, ...values });
      t.match(visit, { status: 403, html: /open for too long, and nothing was changed/ }, act);
    }
    t.same(await state(), before, act);
  }
});

test('a form made for one person does nothing in the session of another', async (t) => {
  const ada = await enter();
  const eve = await enter('eve@example.org');
  eve.cookies.set('kt_browser', ada.cookies.get('kt_browser') ?? '');
  const before = await state();
  const { csrf = '' } = ada.hidden();
  t.equal((await eve.post('/account', { csrf, act: 'withdraw-consent', client: app.id })).status, 403);
  t.same(await state(), before);
});

test('who is signed out by now is asked to sign in, and nothing else happens', async (t) => {
  const browser = await enter();
  const { csrf = '' } = browser.hidden();
  const list = await acts();
  browser.cookies.delete('kt_session');
  for (const [act, values] of list) {
    const before = await state();
    t.match((await browser.post('/account', { csrf, act, ...values })).html, /type="password"/);
    t.same(await state(), before, act);
  }
});

test('looking at an address changes nothing', async (t) => {
  const browser = await enter();
  const { csrf = '' } = browser.hidden();
  for (const [act, values] of await acts()) {
    const before = await state();
    await browser.open(`/account?${new URLSearchParams({ csrf, act, ...values })}`);
    t.same(await state(), before, act);
  }
  t.equal((await get(issuer, '/account/sign-in')).status, 405);
});

test('an act that nobody knows does nothing', async (t) => {
  const browser = await enter();
  const before = await state();
  const { csrf = '' } = browser.hidden();
  for (const act of ['', 'delete-account', 'constructor', '__proto__']) {
    t.equal((await browser.post('/account', { csrf, act })).status, 200);
  }
  t.same(await state(), before);
});

test('nobody is signed in by a form of another site, or by one for another browser', async (t) => {
  const browser = createBrowser(issuer);
  await browser.open('/account');
  const form = { ...browser.hidden(), email: 'eve@example.org', password };
  t.equal((await browser.post('/account/sign-in', form, { origin: 'https://evil.example' })).status, 403);
  const victim = createBrowser(issuer);
  t.match(await victim.post('/account/sign-in', form), { status: 403, html: /open for too long/ });
  for (const one of [browser, victim]) t.notOk(one.cookies.has('kt_session'));
  const bare = await post(issuer, '/account/sign-in', { email: 'eve@example.org', password });
  t.equal(bare.status, 403, 'without cookies at all');
});

test('a cookie that was planted before the sign-in is worth nothing after it', async (t) => {
  const eve = await enter('eve@example.org');
  const planted = eve.cookies.get('kt_session') ?? '';
  const browser = createBrowser(issuer);
  browser.cookies.set('kt_session', planted);
  await browser.post('/account/sign-in', { ...(await signInForm(browser)), email: 'ada@example.org', password });
  t.not(browser.cookies.get('kt_session'), planted);
  t.match((await eve.open('/account')).html, /Sign in/, 'the session before has ended');
});

/** The hidden values of a sign-in form made for this browser. */
async function signInForm(browser: TestBrowser): Promise<Record<string, string>> {
  const session = browser.cookies.get('kt_session') ?? '';
  browser.cookies.delete('kt_session');
  await browser.open('/account');
  browser.cookies.set('kt_session', session);
  return browser.hidden();
}

test('names, browsers and clients stay in their places on the page', async (t) => {
  const browser = await enter();
  const elsewhere = createBrowser(issuer);
  await elsewhere.open('/account');
  const form = { ...elsewhere.hidden(), email: 'ada@example.org', password };
  await elsewhere.post('/account/sign-in', form, { 'user-agent': hostile });
  const { html, headers } = await browser.open('/account');
  const names = elementsOf(html).map(({ name }) => name);
  t.notOk(names.includes('script'));
  t.match(html, /&lt;script&gt;/);
  t.match(headers['content-security-policy'], /default-src 'none'.*frame-ancestors 'none'.*form-action 'self'/);
  t.match(headers, { 'x-frame-options': 'DENY', 'cache-control': 'no-store' });
});
