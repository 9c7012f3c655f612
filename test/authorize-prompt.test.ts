import { decodeJwt } from 'jose';
import tap, { test } from 'tap';
import { createBrowser, outcomeOf, type TestBrowser, type Visit } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { registerResource, startIssuer } from './support/issuer.ts';
import { authorizePath, newVerifier, password, redeem, registerApp, registerUser, signIn } from './support/people.ts';

const clock = createTestClock();
const issuer = await startIssuer(tap, { clock });
await registerResource(issuer);
const ada = await registerUser(issuer);
const grace = await registerUser(issuer, { email: 'grace@example.org', name: 'Grace Hopper' });
/** Trusted by whoever runs the issuer: what is asked with it, is asked because of the prompt. */
const app = await registerApp(issuer, { skipConsent: true });
const { verifier, challenge } = newVerifier();

type Changes = Record<string, string | undefined>;

const path = (changes: Changes = {}, client = app) => authorizePath(client.id, challenge, changes);

/** A browser in which somebody has signed in. */
async function signedIn(email = 'ada@example.org'): Promise<TestBrowser> {
  const browser = createBrowser(issuer);
  await signIn(browser, path(), { email });
  return browser;
}

async function idTokenOf({ left }: Visit, client = app) {
  const { json } = await redeem(issuer, client, left?.searchParams.get('code') ?? '', verifier);
  const raw: string = json.id_token;
  return { ...decodeJwt<{ auth_time: number; sid: string; nonce?: string }>(raw), raw };
}

test('prompt=none never shows a page: login_required, consent_required, or an answer', async (t) => {
  const other = await registerApp(issuer);
  const stranger = createBrowser(issuer);
  t.equal(outcomeOf(await stranger.open(path({ prompt: 'none' }))), 'login_required');
  t.same(stranger.setCookies, [], 'nothing was begun');

  const browser = await signedIn();
  t.equal(outcomeOf(await browser.open(path({ prompt: 'none' }))), 'code');
  t.equal(outcomeOf(await browser.open(path({ prompt: 'none' }, other))), 'consent_required');
  await signIn(browser, path({}, other));
  t.equal(outcomeOf(await browser.open(path({ prompt: 'none' }, other))), 'code', 'once it was given');
  t.equal(outcomeOf(await browser.open(path({ prompt: 'none', max_age: '0' }))), 'login_required');
  t.equal(outcomeOf(await browser.open(path({ prompt: 'none', max_age: '10000' }))), 'code');
});

test('prompt=login asks for the password each time, once, and the ID token says when', async (t) => {
  const browser = await signedIn();
  const before = await idTokenOf(await browser.open(path()));
  for (const again of ['the first time', 'the second time']) {
    clock.advance(100);
    t.equal(outcomeOf(await browser.open(path({ prompt: 'login' }))), 'sign-in', again);
    const after = await idTokenOf(await browser.submit({ email: 'ada@example.org', password }));
    t.equal(after.auth_time, clock.now());
    t.equal(after.sid, before.sid, 'it is the same session of the same person');
  }
  clock.advance(100);
  const { auth_time } = await idTokenOf(await browser.open(path()));
  t.equal(auth_time, clock.now() - 100, 'without a prompt nobody is asked, and nothing else is said');
});

test('a wrong password does not satisfy prompt=login', async (t) => {
  const browser = await signedIn();
  clock.advance(1);
  await browser.open(path({ prompt: 'login' }));
  t.equal(outcomeOf(await browser.submit({ email: 'ada@example.org', password: 'wrong password' })), 'sign-in');
  const { interaction } = browser.hidden();
  t.equal(outcomeOf(await browser.open(`/authorize?interaction=${interaction}`)), 'sign-in', 'nor does going on');
});

test('prompt=consent asks each time, also where consent was given or is not needed', async (t) => {
  const browser = await signedIn();
  for (const client of [app, await registerApp(issuer)]) {
    for (const decision of ['allow', 'allow', 'deny']) {
      t.equal(outcomeOf(await browser.open(path({ prompt: 'consent' }, client))), 'consent');
      const outcome = outcomeOf(await browser.submit({ decision }));
      t.equal(outcome, decision === 'allow' ? 'code' : 'access_denied');
    }
  }
});

test('prompt=select_account: to go on as who one is', async (t) => {
  const browser = await signedIn();
  for (const again of ['the first time', 'the second time']) {
    const asked = await browser.open(path({ prompt: 'select_account' }));
    t.equal(outcomeOf(asked), 'choose-account', again);
    t.match(asked.html, /ada@example\.org/);
    t.match(await idTokenOf(await browser.submit({ decision: 'continue' })), { sub: ada.id });
  }
});

test('prompt=select_account: to go on as somebody else ends the session there was', async (t) => {
  const browser = await signedIn();
  const cookie = browser.cookies.get('kt_session') ?? '';
  await browser.open(path({ prompt: 'select_account' }));
  t.equal(outcomeOf(await browser.submit({ decision: 'switch' })), 'sign-in');
  const answer = await browser.submit({ email: grace.email, password });
  t.match(await idTokenOf(answer), { sub: grace.id }, 'who has just signed in is not asked to choose');
  browser.cookies.set('kt_session', cookie);
  t.equal(outcomeOf(await browser.open(path({ prompt: 'none' }))), 'login_required');
});

test('prompt=select_account without a session is sign-in, and nothing is asked after it', async (t) => {
  const browser = createBrowser(issuer);
  t.equal(outcomeOf(await browser.open(path({ prompt: 'select_account' }))), 'sign-in');
  t.equal(outcomeOf(await browser.submit({ email: ada.email, password })), 'code');
});

test('prompts together are asked one after the other, each once', async (t) => {
  const browser = await signedIn();
  clock.advance(1);
  const visits = [await browser.open(path({ prompt: 'consent select_account login login' }))];
  visits.push(await browser.submit({ email: ada.email, password }));
  visits.push(await browser.submit({ decision: 'allow' }));
  t.same(visits.map(outcomeOf), ['sign-in', 'consent', 'code']);
});

test('max_age: whoever signed in longer ago is asked again, and auth_time says so (Core §3.1.2.1)', async (t) => {
  const browser = await signedIn();
  const signedInAt = clock.now();
  t.equal(outcomeOf(await browser.open(path({ max_age: '0' }))), 'sign-in', '0 is prompt=login');
  t.equal(outcomeOf(await browser.open(path({ max_age: '1' }))), 'code');
  clock.advance(1);
  t.equal(outcomeOf(await browser.open(path({ max_age: '1' }))), 'sign-in', 'a second has gone by');
  t.match(await idTokenOf(await browser.open(path({ max_age: '10000' }))), { auth_time: signedInAt });

  await browser.open(path({ max_age: '1' }));
  clock.advance(60);
  const answer = await browser.submit({ email: ada.email, password });
  t.equal(outcomeOf(answer), 'code', 'signing in satisfies it, however long the page was open');
  t.match(await idTokenOf(answer), { auth_time: clock.now() });
});

test('id_token_hint: the person it names gets an answer, anybody else is asked to sign in', async (t) => {
  const browser = await signedIn();
  const { raw: hint } = await idTokenOf(await browser.open(path()));
  clock.advance(3_600);
  t.equal(outcomeOf(await browser.open(path({ id_token_hint: hint, prompt: 'none' }))), 'code', 'expired as it is');

  const other = await signedIn(grace.email);
  t.equal(outcomeOf(await other.open(path({ id_token_hint: hint, prompt: 'none' }))), 'login_required');
  const asked = await other.open(path({ id_token_hint: hint }));
  t.equal(outcomeOf(asked), 'sign-in');
  t.notMatch(asked.html, /grace@|ada@/, 'and told nobody’s name');
  t.match(await idTokenOf(await other.submit({ email: ada.email, password })), { sub: ada.id });
});

test('id_token_hint: when somebody else signs in, the client is told, not the person', async (t) => {
  const { raw: hint } = await idTokenOf(await (await signedIn()).open(path()));
  const browser = createBrowser(issuer);
  await browser.open(path({ id_token_hint: hint }));
  const { interaction } = browser.hidden();
  const answer = await browser.submit({ email: grace.email, password });
  t.equal(outcomeOf(answer), 'login_required');
  t.match(Object.fromEntries(answer.left?.searchParams ?? []), { state: 'the state', iss: issuer.issuer });
  t.equal(outcomeOf(await browser.open(`/authorize?interaction=${interaction}`)), 'page 400', 'and it is over');
});

test('login_hint stands in the form, as text', async (t) => {
  const hints = { 'ada@example.org': 'ada@example.org', '"><b>"\'&': '&quot;&gt;&lt;b&gt;&quot;&#39;&amp;' };
  for (const [hint, written] of Object.entries(hints)) {
    const { html } = await createBrowser(issuer).open(path({ login_hint: hint }));
    t.ok(html.includes(`name="email" value="${written}"`), hint);
  }
  const { html } = await createBrowser(issuer).open(path({ login_hint: 'x'.repeat(2_000) }));
  t.notMatch(html, /x{255}/, 'cut to what an address can have');
});

test('without a nonce the ID token has none', async (t) => {
  const browser = await signedIn();
  t.equal((await idTokenOf(await browser.open(path()))).nonce, 'the nonce');
  t.notOk('nonce' in (await idTokenOf(await browser.open(path({ nonce: undefined })))));
});

test('without PKCE only where the client may, and then a verifier is refused (RFC 9700 §4.8.2)', async (t) => {
  const browser = await signedIn();
  const old = await registerApp(issuer, { skipConsent: true, pkceRequired: false });
  const without = { code_challenge: undefined, code_challenge_method: undefined };
  t.equal(outcomeOf(await browser.open(path(without))), 'invalid_request', 'another client may not');

  const { left } = await browser.open(path(without, old));
  const code = left?.searchParams.get('code') ?? '';
  t.match(await redeem(issuer, old, code, verifier), { status: 400, json: { error: 'invalid_grant' } });
  t.match(await redeem(issuer, old, code, undefined), { status: 200 }, 'which used nothing up');

  const challenged = (await browser.open(path({}, old))).left?.searchParams.get('code') ?? '';
  t.match(await redeem(issuer, old, challenged, undefined), { status: 400 }, 'a challenge once sent has to be met');
  t.match(await redeem(issuer, old, challenged, verifier), { status: 200 });
});
