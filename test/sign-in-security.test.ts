import tap, { test } from 'tap';
import { csrfValue } from '../src/login/browser.ts';
import { disable } from '../src/protocol/user.ts';
import { changing } from '../src/store/change.ts';
import { updateUser } from '../src/store/user.ts';
import { createBrowser, outcomeOf, type TestBrowser } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { get, post, registerResource, startIssuer } from './support/issuer.ts';
import {
  authorizePath,
  newVerifier,
  obtainTokens,
  password,
  redeem,
  registerApp,
  registerUser,
  signIn,
} from './support/people.ts';

const clock = createTestClock();
const issuer = await startIssuer(tap, { clock });
await registerResource(issuer);
const ada = await registerUser(issuer);
const grace = await registerUser(issuer, { email: 'grace@example.org', name: 'Grace Hopper' });
const app = await registerApp(issuer, { skipConsent: true });
const { verifier, challenge } = newVerifier();
const path = (changes: Record<string, string | undefined> = {}) => authorizePath(app.id, challenge, changes);

function sessionOf(browser: TestBrowser): { id: string; cookie: string } {
  const cookie = browser.cookies.get('kt_session') ?? '';
  return { id: cookie.replace(/\..*/, ''), cookie };
}

/** What a browser with that session cookie alone is asked. */
async function comesOf(cookie: string): Promise<string> {
  const browser = createBrowser(issuer);
  browser.cookies.set('kt_session', cookie);
  return outcomeOf(await browser.open(path()));
}

test('the cookie is another after each sign-in, and the one before is worth nothing', async (t) => {
  const browser = createBrowser(issuer);
  const cookies: string[] = [];
  for (let time = 0; time < 3; time += 1) {
    await signIn(browser, path({ prompt: 'login' }));
    cookies.push(sessionOf(browser).cookie);
    clock.advance(1);
  }
  t.equal(new Set(cookies).size, 3);
  t.equal(new Set(cookies.map((cookie) => cookie.replace(/\..*/, ''))).size, 1, 'the session is the same (sid)');
  const [first = '', second = '', last = ''] = cookies;
  t.same(await Promise.all([first, second, last].map(comesOf)), ['sign-in', 'sign-in', 'code']);
});

test('a cookie that somebody planted is not what one is signed in by', async (t) => {
  const planted = [`session_${'a'.repeat(16)}.${'A'.repeat(43)}`, 'x', `${'a'.repeat(3_000)}`, '%00', '"'];
  for (const cookie of planted) {
    const browser = createBrowser(issuer);
    browser.cookies.set('kt_session', cookie);
    browser.cookies.set('kt_browser', cookie);
    t.equal(outcomeOf(await signIn(browser, path())), 'code');
    t.match(sessionOf(browser).id, /^session_/);
    t.not(sessionOf(browser).id, cookie.replace(/\..*/, ''));
    t.not(browser.cookies.get('kt_browser'), cookie, 'the secret of forms is ours too');
    t.equal(await comesOf(cookie), 'sign-in');
  }
});

test('a planted session that is alive ends when its victim signs in, and is never theirs', async (t) => {
  const [attacker, victim] = [createBrowser(issuer), createBrowser(issuer)];
  await signIn(attacker, path(), { email: grace.email });
  const planted = sessionOf(attacker);
  victim.cookies.set('kt_session', planted.cookie);
  await signIn(victim, path({ prompt: 'login' }));
  t.not(sessionOf(victim).id, planted.id);
  t.equal(await comesOf(planted.cookie), 'sign-in');
});

test('no other page can post our forms', async (t) => {
  const browser = createBrowser(issuer);
  await browser.open(path());
  const form: Record<string, string> = { ...browser.hidden(), email: ada.email, password, decision: 'allow' };
  const { cookie = '', origin = '' } = browser.headers();
  const stranger = createBrowser(issuer);
  await stranger.open(path());
  const { csrf: _, ...without } = form;
  const own = { cookie, origin };

  const forged: [why: string, form: Record<string, string>, headers: Record<string, string>][] = [
    ['no CSRF value', without, own],
    ['an empty one', { ...form, csrf: '' }, own],
    ['that of another browser', { ...form, csrf: stranger.hidden().csrf ?? '' }, own],
    ['the one of no secret, which everybody knows', { ...form, csrf: csrfValue('') }, { origin }],
    ['the same with an empty cookie', { ...form, csrf: csrfValue('') }, { origin, cookie: 'kt_browser=' }],
    ['no cookie', form, { origin }],
    ['the page of another origin', form, { cookie, origin: 'https://evil.example' }],
    ['the page of another port', form, { cookie, origin: 'http://localhost:3001' }],
    ['a page that hides its origin', form, { cookie, origin: 'null' }],
    ['another site', form, { ...own, 'sec-fetch-site': 'cross-site' }],
    ['a sibling of ours', form, { ...own, 'sec-fetch-site': 'same-site' }],
    ['no page at all', form, { ...own, 'sec-fetch-site': 'none' }],
  ];
  for (const target of ['/sign-in', '/choose-account', '/consent']) {
    for (const [why, body, headers] of forged) {
      const { status, headers: answered } = await post(issuer, target, body, headers);
      const refused = status === 403 && answered['set-cookie'] === undefined;
      const nobody = status === 303 && String(answered.location).includes('/authorize?interaction=');
      t.ok(refused || (target !== '/sign-in' && nobody), `${target}: ${why}`);
    }
  }
  t.equal(sessionOf(stranger).cookie, '');
  t.equal((await post(issuer, '/sign-in', form, { cookie })).status, 303, 'an old browser says neither');
  const modern = await post(issuer, '/sign-in', form, { ...own, 'sec-fetch-site': 'same-origin' });
  t.equal(modern.status, 303, 'ours does');
});

test('nothing is decided by a GET, and no password goes by a URL', async (t) => {
  const query = new URLSearchParams({ email: ada.email, password, decision: 'allow' });
  for (const target of ['/sign-in', '/choose-account', '/consent']) {
    t.match(await get(issuer, `${target}?${query}`), { status: 405, headers: { allow: 'POST' } });
  }
  const { html } = await createBrowser(issuer).open(path({ email: ada.email, password }));
  t.match(html, /<form[^>]* method="post"/);
  t.notOk(html.includes(password));
});

test('a page says of nobody whether they have an account', async (t) => {
  const gone = await registerUser(issuer, { email: 'gone@example.org' });
  await changing(issuer.database, (tx) => updateUser(tx, gone.id, (user) => disable(user, clock.now())));
  const attempts = [
    { email: ada.email, password: 'not the password' },
    { email: 'nobody@example.org', password: 'not the password' },
    { email: gone.email, password },
    { email: 'no address', password },
    { email: ada.email.toUpperCase(), password: '' },
    { email: '', password: '' },
    { email: ada.email, password: 'x'.repeat(20_000) },
  ];
  const answers = new Set<string>();
  for (const attempt of attempts) {
    const browser = createBrowser(issuer);
    await browser.open(path());
    const { csrf = '', interaction = '' } = browser.hidden();
    const { status, html, headers } = await browser.submit(attempt);
    t.notOk(sessionOf(browser).cookie);
    const same = html
      .replace(csrf, '')
      .replace(interaction, '')
      .replace(`value="${attempt.email}"`, 'value=""')
      .replaceAll(' autofocus', '');
    answers.add(JSON.stringify([status, same, Object.keys(headers).sort()]));
  }
  t.equal(answers.size, 1, 'the same status, headers and words for all');
});

test('nor does the time that it takes', async (t) => {
  const browser = createBrowser(issuer);
  const times: Record<string, number[]> = { [ada.email]: [], 'nobody@example.org': [], 'gone@example.org': [] };
  for (let round = 0; round < 9; round += 1) {
    clock.advance(2 * 3600); // what has failed before is not counted any more
    await browser.open(path());
    const form = browser.hidden();
    for (const [email, taken] of Object.entries(times)) {
      const begun = performance.now();
      await post(issuer, '/sign-in', { ...form, email, password: 'not the password' }, browser.headers());
      taken.push(performance.now() - begun);
    }
  }
  const medians = Object.values(times).map((taken) => taken.sort((a, b) => a - b)[4] ?? 0);
  t.ok(Math.max(...medians) < 2 * Math.min(...medians), `medians of ${medians.map(Math.round)} ms`);
});

test('a code that is injected is redeemed by nobody (RFC 9700 §4.5)', async (t) => {
  const [attacker, victim] = [newVerifier(), newVerifier()];
  const browser = createBrowser(issuer);
  const { left } = await signIn(browser, authorizePath(app.id, attacker.challenge, { nonce: 'the attacker’s' }));
  const stolen = left?.searchParams.get('code') ?? '';
  const answer = await redeem(issuer, app, stolen, victim.verifier);
  t.match(answer, { status: 400, json: { error: 'invalid_grant' } }, 'the victim’s client has another verifier');
  t.match(await redeem(issuer, app, stolen, undefined), { status: 400 }, 'and cannot do without (downgrade)');
  t.match(await redeem(issuer, app, stolen, attacker.verifier), { status: 200 });
});

test('neither the log nor a URL of ours holds what lets anybody in', async (t) => {
  const browser = createBrowser(issuer);
  await browser.open(path());
  const { csrf } = browser.hidden();
  await browser.submit({ email: 'typo@example.org', password: 'a password mistyped' });
  const { json, code } = await obtainTokens(issuer, app, { state: 'state-in-log' }, browser);
  await redeem(issuer, app, code, verifier);
  await get(issuer, '/userinfo', { authorization: `Bearer ${json.access_token}` });
  await get(issuer, `/userinfo?access_token=${json.access_token}`);
  const secrets = [
    json.access_token,
    json.id_token,
    code,
    csrf,
    password,
    'a password mistyped',
    'typo@',
    'state-in-log',
  ];
  secrets.push(app.secret, ...browser.cookies.values());
  const log = JSON.stringify(issuer.log);
  t.ok(issuer.log.length > 5);
  for (const secret of secrets) t.ok(secret.length > 4 && !log.includes(secret));
  t.notOk(log.includes(browser.cookies.get('kt_session')?.replace(/.*\./, '') ?? 'no cookie'));
});
