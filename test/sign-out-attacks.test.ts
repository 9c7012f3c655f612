import tap, { test } from 'tap';
import { createBrowser } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { get, post, registerResource, startIssuer } from './support/issuer.ts';
import { elementsOf } from './support/markup.ts';
import { authorizePath, newVerifier, obtainTokens, registerApp, registerUser } from './support/people.ts';

const goodbye = 'https://app.example/goodbye';

const issuer = await startIssuer(tap, { clock: createTestClock() });
await registerResource(issuer);
await registerUser(issuer);
const app = await registerApp(issuer, {
  postLogoutRedirectUris: [goodbye, 'http://127.0.0.1:8080/bye'],
  skipConsent: true,
});
const other = await registerApp(issuer, { postLogoutRedirectUris: ['https://other.example/'] });

async function enter() {
  const browser = createBrowser(issuer);
  const { json } = await obtainTokens(issuer, app, {}, browser);
  const isSignedIn = async () => {
    const { left } = await browser.open(authorizePath(app.id, newVerifier().challenge, { prompt: 'none' }));
    return left?.searchParams.has('code');
  };
  return { browser, idToken: json.id_token as string, isSignedIn };
}

function logoutPath(values: Record<string, string>): string {
  return `/logout?${new URLSearchParams(values)}`;
}

/** None of these is registered with the client, however much it looks like one that is. */
const hostileAddresses = [
  'https://evil.example/',
  'https://app.example/',
  'https://app.example/goodbye/',
  'https://app.example/goodbye?x=1',
  'https://app.example/goodbye#x',
  'https://app.example/goodbye/../evil',
  'https://app.example/Goodbye',
  'https://APP.example/goodbye',
  'https://app.example:443/goodbye',
  'https://app.example.evil.example/goodbye',
  'https://app.example@evil.example/goodbye',
  'https://user:password@app.example/goodbye',
  'https://app.example%2f@evil.example/goodbye',
  'http://app.example/goodbye',
  '//evil.example/goodbye',
  '/goodbye',
  '\\\\evil.example\\goodbye',
  'https:/evil.example',
  ' https://app.example/goodbye',
  'https://app.example/goodbye ',
  'https://app.example/goodbye,https://evil.example/',
  'javascript:alert(document.domain)',
  'data:text/html,<script>alert(1)</script>',
  'com.example.app:/goodbye',
  'http://127.0.0.1:9999/bye',
  'https://other.example/',
  'https://app.example/callback',
  '*',
];

test('an address that this client has not registered is never followed', async (t) => {
  const { browser, idToken } = await enter();
  for (const uri of hostileAddresses) {
    const hints: Record<string, string>[] = [{ client_id: app.id }, { id_token_hint: idToken }, {}];
    for (const hint of hints) {
      const values = { ...hint, post_logout_redirect_uri: uri, state: 's' };
      const visits = [await browser.open(logoutPath(values)), await browser.post('/logout', values)];
      for (const { status, left } of visits) t.match({ status, left }, { status: 200, left: undefined }, uri);
    }
  }
});

test('our own form does not lead to such an address either', async (t) => {
  const leadsTo = async (uri: string) => {
    const path = `/sign-out?${new URLSearchParams({ client_id: app.id, post_logout_redirect_uri: uri })}`;
    return (await post(issuer, path, { decision: 'sign-out' }, { origin: issuer.issuer })).headers.location;
  };
  t.equal(await leadsTo(goodbye), goodbye);
  for (const uri of hostileAddresses) t.equal(await leadsTo(uri), undefined, uri);
});

test('an address without a client that is known is not followed', async (t) => {
  const { browser } = await enter();
  const clients: Record<string, string>[] = [{}, { client_id: other.id }, { client_id: 'client_none' }];
  for (const client of clients) {
    const { left, html } = await browser.open(logoutPath({ ...client, post_logout_redirect_uri: goodbye }));
    t.equal(left, undefined);
    t.match(html, /value="sign-out"/);
  }
});

test('no parameter gets out of its place on the page', async (t) => {
  const { browser } = await enter();
  const hostile = `"><script>alert(1)</script><img src=x onerror='alert(2)'>{{7*7}}\u202e`;
  for (const name of ['state', 'logout_hint', 'ui_locales', 'client_id', 'id_token_hint', 'post_logout_redirect_uri']) {
    const values = { client_id: app.id, post_logout_redirect_uri: goodbye, [name]: hostile };
    const { html, headers } = await browser.open(logoutPath(values));
    t.notMatch(html, /<script|onerror=/, name);
    t.match(headers['content-security-policy'], /default-src 'none'/);
    const names = elementsOf(html).map((element) => element.name);
    t.notOk(names.includes('script'), name);
  }
  const { left } = await browser.submit({ decision: 'stay' });
  t.equal(left, undefined);
});

test('a state comes back as it was, whatever is in it', async (t) => {
  for (const state of ['"><script>', 'a\u00a0ü€😀', '%0d%0aSet-Cookie: a=b', '&x=y#z', '+ +', 'x'.repeat(2_000)]) {
    const { browser, idToken } = await enter();
    await browser.open(logoutPath({ client_id: app.id, post_logout_redirect_uri: goodbye, state }));
    const { left } = await browser.submit({ decision: 'sign-out' });
    t.equal(left?.searchParams.get('state'), state);
    t.equal(left?.origin, 'https://app.example');
    const values = { id_token_hint: idToken, post_logout_redirect_uri: goodbye, state };
    t.equal((await browser.open(logoutPath(values))).left?.searchParams.get('state'), state);
  }
});

test('a state with line breaks, or one that is too long, is refused', async (t) => {
  const { browser, idToken } = await enter();
  for (const state of ['a\r\nSet-Cookie: x=y', 'a\0', 'x'.repeat(2_001)]) {
    const values = { id_token_hint: idToken, post_logout_redirect_uri: goodbye, state };
    t.equal((await browser.open(logoutPath(values))).status, 400);
    t.equal((await browser.post('/logout', values)).status, 400);
  }
});

test('our form is not for another site to post', async (t) => {
  const { browser, isSignedIn } = await enter();
  await browser.open('/logout');
  const form = { ...browser.hidden(), decision: 'sign-out' };
  const foreign: Record<string, string>[] = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: `${issuer.issuer}.evil.example` },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ];
  for (const headers of foreign) t.equal((await browser.post('/sign-out', form, headers)).status, 403);
  t.ok(await isSignedIn());
});

test('our form needs the value that was made for this browser and this session', async (t) => {
  const { browser, isSignedIn } = await enter();
  const stranger = await enter();
  await stranger.browser.open('/logout');
  const theirs = stranger.browser.hidden();
  await browser.open('/logout');
  const { csrf = '' } = browser.hidden();
  for (const values of [{}, { csrf: '' }, { csrf: 'x' }, theirs, { csrf: csrf.slice(0, -1) }, { csrf: `${csrf}=` }]) {
    t.equal((await browser.post('/sign-out', { ...values, decision: 'sign-out' })).status, 403);
  }
  t.ok(await isSignedIn());
  // The same browser, in which somebody else has signed in since the page was shown.
  await registerUser(issuer, { email: 'eve@example.org' });
  const secret = browser.cookies.get('kt_browser') ?? '';
  const eve = createBrowser(issuer);
  await obtainTokens(issuer, app, {}, eve, 'eve@example.org');
  eve.cookies.set('kt_browser', secret);
  t.equal((await eve.post('/sign-out', { csrf, decision: 'sign-out' })).status, 403);
});

test('what only looks at an address signs nobody out', async (t) => {
  const { browser, isSignedIn } = await enter();
  for (const path of ['/logout', logoutPath({ client_id: app.id, post_logout_redirect_uri: goodbye })]) {
    await browser.open(path);
    t.ok(await isSignedIn(), path);
  }
  t.equal((await get(issuer, '/sign-out')).status, 405, 'our form has no GET');
});

test('none of its pages can be framed or kept', async (t) => {
  const { browser, idToken } = await enter();
  for (const path of ['/logout', logoutPath({ id_token_hint: idToken })]) {
    const { headers } = await browser.open(path);
    t.match(headers, { 'cache-control': 'no-store', 'x-frame-options': 'DENY' });
    t.match(headers['content-security-policy'], /frame-ancestors 'none'/);
  }
});

test('parameters that come twice are refused', async (t) => {
  const { browser, isSignedIn } = await enter();
  const twice = `/logout?client_id=${app.id}&post_logout_redirect_uri=${encodeURIComponent(goodbye)}&client_id=${other.id}`;
  t.equal((await browser.open(twice)).status, 400);
  t.ok(await isSignedIn());
});
