import tap, { test } from 'tap';
import { createBrowser, outcomeOf, type TestBrowser, type Visit } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { get, post, registerResource, startIssuer, type TestIssuer } from './support/issuer.ts';
import { authorizePath, newVerifier, password, registerApp, registerUser, signIn } from './support/people.ts';

/** What an attacker would like to see on a page as it is here. */
const hostile = `</title></p>"'><script src=//evil.example></script><img src=x onerror=alert(1)>\u202e{{7*7}}`;

const clock = createTestClock();
const issuer = await startIssuer(tap, { clock });
const resource = { identifier: 'https://hostile.example', scopes: { 'hostile:read': hostile, '<script>': '' } };
await registerResource(issuer, resource);
await registerUser(issuer, { name: hostile });
const app = await registerApp(issuer, {
  name: hostile,
  scopes: ['openid', ...Object.keys(resource.scopes)],
  resources: [resource.identifier],
});
const { challenge } = newVerifier();
const path = (changes: Record<string, string | undefined> = {}) =>
  authorizePath(app.id, challenge, { scope: 'openid hostile:read <script>', state: hostile, ...changes });

/** Every page of the browser flow, by what it is. */
async function visitAll(): Promise<Record<string, Visit>> {
  const browser = createBrowser(issuer);
  const pages: Record<string, Visit> = {};
  pages.signIn = await browser.open(path({ login_hint: hostile }));
  pages.wrong = await browser.submit({ email: hostile, password: hostile });
  pages.consent = await browser.submit({ email: 'ada@example.org', password });
  await browser.submit({ decision: 'allow' });
  pages.choose = await browser.open(path({ prompt: 'select_account' }));
  pages.again = await browser.open(path({ prompt: 'login' }));
  pages.switched = await browser.open(path({ prompt: 'consent' })).then(() => browser.submit({ decision: 'switch' }));
  pages.badClient = await browser.open(authorizePath(hostile, challenge));
  pages.badRedirect = await browser.open(path({ redirect_uri: hostile }));
  pages.over = await browser.open(`/authorize?interaction=${encodeURIComponent(hostile)}`);
  pages.forged = await browser.post('/sign-in', { csrf: hostile, interaction: hostile });
  return pages;
}

const pages = await visitAll();

test('every page of the flow was seen', async (t) => {
  const outcomes = Object.fromEntries(Object.entries(pages).map(([name, visit]) => [name, outcomeOf(visit)]));
  t.same(outcomes, {
    signIn: 'sign-in',
    wrong: 'sign-in',
    consent: 'consent',
    choose: 'choose-account',
    again: 'sign-in',
    switched: 'sign-in',
    badClient: 'page 400',
    badRedirect: 'page 400',
    over: 'page 400',
    forged: 'page 403',
  });
});

test('no page can be framed, cached, sniffed, or load anything from elsewhere', async (t) => {
  for (const [name, { headers, html }] of Object.entries(pages)) {
    const { 'content-security-policy': policy, ...others } = headers;
    t.match(others, {
      'content-type': 'text/html; charset=utf-8',
      'x-frame-options': 'DENY',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
      'referrer-policy': 'same-origin',
    });
    const directives = String(policy).split('; ').sort();
    const expected = ["base-uri 'none'", "default-src 'none'", "frame-ancestors 'none'", "img-src 'self'"];
    t.same(
      directives.filter((directive) => !directive.startsWith('form-action')),
      [...expected, "style-src 'self'"],
      name,
    );
    const tags = (html.match(/<[^>]*>/g) ?? []).join('\n');
    t.notMatch(tags, /(?:src|href|action)="(?!\/[a-z])/, 'nothing from elsewhere');
    const names = tags.replace(/"[^"]*"/g, '""');
    t.notMatch(names, /<script|<style|<iframe|<object|<base|\son[a-z]+=|\sstyle=|http-equiv/i, 'and nothing inline');
  }
});

test('what others have written is text on every page', async (t) => {
  for (const [name, { html }] of Object.entries(pages)) {
    t.notMatch(html, /<script|<img src=x|<\/title><\/p>/, name);
    t.equal(html.match(/<\/title>/g)?.length, 1, name);
  }
  for (const name of ['signIn', 'wrong'])
    t.match(pages[name]?.html, /value="&lt;\/title&gt;&lt;\/p&gt;&quot;&#39;&gt;&lt;script/);
  t.match(pages.consent?.html, /&lt;script src=\/\/evil\.example&gt;/, 'names and descriptions are shown as they are');
  t.notMatch(JSON.stringify(pages.badRedirect?.html) + pages.badClient?.html, /evil/, 'errors repeat nothing');
});

test('an answer tells the next page nothing of where it came from, and nobody may keep it', async (t) => {
  const browser = createBrowser(issuer);
  const { status, headers, left } = await signIn(browser, path());
  t.ok(left?.searchParams.get('code'));
  t.equal(status, 303, 'and a POST never becomes another POST (RFC 9700 §4.12)');
  t.match(headers, { 'referrer-policy': 'no-referrer', 'cache-control': 'no-store' });
});

async function cookieLines(settings: Record<string, string>): Promise<[TestIssuer, TestBrowser]> {
  const other = await startIssuer(tap, { clock, settings });
  await registerResource(other);
  await registerUser(other);
  const { id } = await registerApp(other, { skipConsent: true });
  const browser = createBrowser(other);
  const base = new URL(other.issuer).pathname.replace(/\/$/, '');
  const { left } = await signIn(browser, base + authorizePath(id, challenge));
  if (left === undefined) throw new Error('nobody was signed in');
  return [other, browser];
}

test('cookies of an https issuer: __Host-, Secure, HttpOnly, SameSite=Lax, Path=/', async (t) => {
  const [secure, browser] = await cookieLines({ ISSUER: 'https://id.example/tenants/1' });
  t.same([...browser.cookies.keys()].sort(), ['__Host-kt_browser', '__Host-kt_known', '__Host-kt_session']);
  for (const line of browser.setCookies) {
    t.match(
      line,
      /^__Host-kt_(browser|session|known)=[\w.-]+;( Max-Age=15552000;)? Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    );
  }
  const plain = createBrowser(secure);
  for (const [name, value] of browser.cookies) plain.cookies.set(name.replace('__Host-', ''), value);
  const { id } = await registerApp(secure, { skipConsent: true });
  const again = await plain.open(`/tenants/1${authorizePath(id, challenge)}`);
  t.equal(outcomeOf(again), 'sign-in', 'under a name that other hosts can set they count for nothing');
});

test('cookies of an http issuer on this machine: the same without what needs https', async (t) => {
  const browser = createBrowser(issuer);
  await signIn(browser, path());
  t.same([...browser.cookies.keys()].sort(), ['kt_browser', 'kt_known', 'kt_session']);
  for (const line of browser.setCookies)
    t.match(line, /^kt_[a-z]+=[\w.-]+;( Max-Age=15552000;)? Path=\/; HttpOnly; SameSite=Lax$/);
});

test('the scheme of a request changes no cookie and no address', async (t) => {
  const headers = { host: 'evil.example', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'evil.example' };
  const asked = await get(issuer, path(), headers);
  t.match(String(asked.headers['set-cookie']), /^kt_browser=/);
  t.notMatch(asked.text + JSON.stringify(asked.headers), /evil\.example(?!&gt;)/);
  const answer = await post(issuer, '/authorize', path().replace('/authorize?', ''), headers);
  t.ok(String(answer.headers.location).startsWith(`${issuer.issuer}/authorize?`));
});

test('what fails here is a page with a number that the log knows, and no more', async (t) => {
  const broken = await startIssuer(t, { clock });
  const { id } = await registerApp(broken, { resources: [] });
  await broken.database.query('DROP TABLE interaction');
  const { status, headers, text } = await get(broken, authorizePath(id, challenge, { scope: 'openid' }));
  t.equal(status, 500);
  t.match(headers['content-type'], /^text\/html/);
  t.notMatch(text, /interaction|relation|Error|\.ts|\.js|at /);
  const requestId = /<code>([^<]+)<\/code>/.exec(text)?.[1] ?? '';
  const logged = broken.log.filter(({ reqId, err }) => reqId === requestId && err !== undefined);
  t.equal(logged.length, 1, 'logged once');
  t.match(JSON.stringify(logged), /interaction/);
});

test('what never gets as far as a form of ours is answered by a page as well', async (t) => {
  const form = 'application/x-www-form-urlencoded';
  for (const [body, type, status] of [
    ['email=%ff', form, 400],
    ['email=a&email=b', form, 400],
    ['{}', 'application/json', 400],
    ['x'.repeat(70_000), form, 413],
  ] as const) {
    for (const path of ['/sign-in', '/consent', '/account', '/logout', '/authorize']) {
      const answer = await post(issuer, path, body, { 'content-type': type });
      t.same([answer.status, answer.headers['content-type']], [status, 'text/html; charset=utf-8'], path);
      t.match(answer.headers['content-security-policy'], /default-src 'none'/);
    }
  }
});
