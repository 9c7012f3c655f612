import tap, { test } from 'tap';
import type { Client } from '../src/protocol/client.ts';
import { findConsent } from '../src/store/consent.ts';
import { createBrowser, outcomeOf, type TestBrowser } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { get, orders, registerResource, startIssuer } from './support/issuer.ts';
import { authorizePath, newVerifier, password, redeem, registerApp, registerUser, signIn } from './support/people.ts';

const clock = createTestClock();
const issuer = await startIssuer(tap, { clock });
await registerResource(issuer);
const ada = await registerUser(issuer);
const grace = await registerUser(issuer, { email: 'grace@example.org', name: 'Grace Hopper' });
const trusted = await registerApp(issuer, { skipConsent: true });
const { verifier, challenge } = newVerifier();

/** A client whose requests ask for these scopes. */
async function newApp(values: Partial<Client> = {}) {
  const app = await registerApp(issuer, values);
  return { ...app, asking: (scope: string, changes = {}) => authorizePath(app.id, challenge, { scope, ...changes }) };
}

async function signedIn(email = 'ada@example.org'): Promise<TestBrowser> {
  const browser = createBrowser(issuer);
  await signIn(browser, authorizePath(trusted.id, challenge), { email });
  return browser;
}

test('consent is asked once, in words, and remembered', async (t) => {
  const app = await newApp({ name: 'The <b>shop</b>' });
  const browser = await signedIn();
  const { html } = await browser.open(app.asking('openid orders:read orders:write'));
  t.ok(html.includes('See your orders'), 'the words of the resource service');
  t.ok(html.includes('orders:write'), 'and the scope itself where it has none');
  t.ok(html.includes('The &lt;b&gt;shop&lt;/b&gt;') && !html.includes('<b>shop'), 'the name as text');
  t.equal(outcomeOf(await browser.submit({ decision: 'allow' })), 'code');
  t.equal(outcomeOf(await browser.open(app.asking('openid orders:read orders:write'))), 'code');
  t.equal(outcomeOf(await browser.open(app.asking('orders:write'))), 'code', 'less is covered');
  t.equal(outcomeOf(await (await signedIn()).open(app.asking('openid'))), 'code', 'in another browser too');
});

test('consent is asked again for more, and grows', async (t) => {
  const app = await newApp();
  const browser = await signedIn();
  await signIn(browser, app.asking('openid profile'));
  t.equal(outcomeOf(await browser.open(app.asking('openid email'))), 'consent');
  t.equal(outcomeOf(await browser.submit({ decision: 'allow' })), 'code');
  t.equal(outcomeOf(await browser.open(app.asking('openid profile email'))), 'code', 'both are remembered');
  t.same((await findConsent(issuer.database, ada.id, app.id))?.scope, ['email', 'openid', 'profile']);
});

test('consent is of one person for one client', async (t) => {
  const [app, other] = [await newApp(), await newApp()];
  const browser = await signedIn();
  await signIn(browser, app.asking('openid'));
  t.equal(outcomeOf(await browser.open(other.asking('openid'))), 'consent');
  t.equal(outcomeOf(await (await signedIn(grace.email)).open(app.asking('openid'))), 'consent');
});

test('who says no goes back with access_denied, and nothing is remembered', async (t) => {
  const app = await newApp();
  const browser = await signedIn();
  for (const decision of ['deny', '', 'ALLOW', 'anything']) {
    t.equal(outcomeOf(await browser.open(app.asking('openid'))), 'consent');
    const { left } = await browser.submit({ decision });
    const { error_description, ...told } = Object.fromEntries(left?.searchParams ?? []);
    t.same(told, { error: 'access_denied', state: 'the state', iss: issuer.issuer }, decision);
  }
  t.equal(await findConsent(issuer.database, ada.id, app.id), undefined);
  t.equal(outcomeOf(await browser.open(authorizePath(trusted.id, challenge))), 'code', 'and stays signed in');
});

test('what is granted is what was shown: nothing that is posted beside it', async (t) => {
  const app = await newApp();
  const browser = await signedIn();
  await browser.open(app.asking('openid'));
  const scope = 'openid email orders:write';
  const { left } = await browser.submit({
    decision: 'allow',
    scope,
    client_id: trusted.id,
    redirect_uri: 'https://evil',
  });
  t.equal(left?.hostname, 'app.example');
  const { json } = await redeem(issuer, app, left?.searchParams.get('code') ?? '', verifier);
  t.equal(json.scope, 'openid');
  t.same((await findConsent(issuer.database, ada.id, app.id))?.scope, ['openid']);
});

test('unknown scopes are left out, and those of others too', async (t) => {
  const app = await newApp({ scopes: ['openid', 'orders:read'] });
  const browser = await signedIn();
  const { left } = await signIn(browser, app.asking('address openid orders:write email orders:read phone'));
  const { json } = await redeem(issuer, app, left?.searchParams.get('code') ?? '', verifier);
  t.equal(json.scope, 'openid orders:read');
});

test('offline_access needs consent of its own, and a client that can refresh (Core §11)', async (t) => {
  const scopes = ['openid', 'offline_access'];
  const app = await newApp({ scopes, grantTypes: ['authorization_code', 'refresh_token'] });
  const browser = await signedIn();
  await signIn(browser, app.asking('openid'));
  t.equal(outcomeOf(await browser.open(app.asking('openid offline_access', { prompt: 'none' }))), 'consent_required');
  const asked = await browser.open(app.asking('openid offline_access'));
  t.match(asked.html, /while you are away/);
  t.equal(outcomeOf(await browser.submit({ decision: 'allow' })), 'code');
  const { left } = await browser.open(app.asking('openid offline_access', { prompt: 'none' }));
  const { json } = await redeem(issuer, app, left?.searchParams.get('code') ?? '', verifier);
  t.match(json, { scope: 'openid offline_access', refresh_token: String, id_token: String });

  const unable = await newApp({ scopes });
  await signIn(browser, unable.asking('openid offline_access'));
  t.same((await findConsent(issuer.database, ada.id, unable.id))?.scope, ['openid'], 'else it is not even asked for');
});

test('a public app on this device and a private-use scheme get their answers where they wait', async (t) => {
  const redirectUris = ['http://127.0.0.1/callback', 'com.example.app:/callback'];
  const app = await newApp({ authMethod: 'none', secretDigests: [], redirectUris });
  const browser = await signedIn();
  const answers = ['http://127.0.0.1:49152/callback', 'http://127.0.0.1:50000/callback', redirectUris[1] as string];
  for (const redirect_uri of answers) {
    const { left } = await signIn(browser, app.asking('openid', { redirect_uri }));
    t.ok(left?.href.startsWith(`${redirect_uri}?code=`), redirect_uri);
  }
});

test('what any program on the device could ask for in an app’s name is asked about each time (RFC 8252 §8.6)', async (t) => {
  const redirectUris = ['http://127.0.0.1/callback', 'com.example.app:/callback', 'https://app.example/callback'];
  const native = { authMethod: 'none' as const, secretDigests: [], redirectUris };
  const browser = await signedIn();
  const app = await newApp(native);
  await signIn(browser, app.asking('openid', { redirect_uri: redirectUris[0] }));
  for (const [redirect_uri, outcome, silent] of [
    [redirectUris[0], 'consent', 'consent_required'],
    [redirectUris[1], 'consent', 'consent_required'],
    [redirectUris[2], 'code', 'code'],
  ]) {
    t.equal(outcomeOf(await browser.open(app.asking('openid', { redirect_uri }))), outcome);
    t.equal(outcomeOf(await browser.open(app.asking('openid', { redirect_uri, prompt: 'none' }))), silent);
  }
  const vouchedFor = await newApp({ ...native, skipConsent: true });
  t.equal(outcomeOf(await browser.open(vouchedFor.asking('openid', { redirect_uri: redirectUris[0] }))), 'code');
});

test('two tabs at once: each ends where it began', async (t) => {
  const [app, other] = [await newApp(), await newApp()];
  const browser = createBrowser(issuer);
  await browser.open(app.asking('openid', { state: 'one' }));
  const one = browser.hidden();
  await browser.open(other.asking('openid', { state: 'two' }));
  const two = browser.hidden();

  t.equal(outcomeOf(await browser.post('/sign-in', { ...two, email: ada.email, password })), 'consent');
  const twoAsked = browser.hidden();
  t.equal(outcomeOf(await browser.post('/sign-in', { ...one, email: ada.email, password })), 'consent');
  const oneAsked = browser.hidden();
  const answers = [
    await browser.post('/consent', { ...twoAsked, decision: 'allow' }),
    await browser.post('/consent', { ...oneAsked, decision: 'allow' }),
  ];
  t.same(
    answers.map(({ left }) => left?.searchParams.get('state')),
    ['two', 'one'],
  );
  t.ok(answers.every((answer) => outcomeOf(answer) === 'code'));
});

test('back and again: a form that was answered is over, and says so', async (t) => {
  const app = await newApp();
  const browser = createBrowser(issuer);
  await browser.open(app.asking('openid'));
  const signInForm: Record<string, string> = { ...browser.hidden(), email: ada.email, password };
  await browser.post('/sign-in', signInForm);
  t.equal(outcomeOf(await browser.post('/sign-in', signInForm)), 'consent', 'while it waits, nothing is lost');
  const consentForm = { ...browser.hidden(), decision: 'allow' };
  t.equal(outcomeOf(await browser.post('/consent', consentForm)), 'code');

  for (const form of [consentForm, { ...consentForm, decision: 'deny' }, { ...consentForm, decision: 'switch' }]) {
    const { status, left, html } = await browser.post('/consent', form);
    t.same({ status, left }, { status: 400, left: undefined });
    t.match(html, /sign-in is over/);
  }
  t.equal(outcomeOf(await browser.post('/sign-in', signInForm)), 'page 400');
  const again = { ...signInForm, password: 'wrong password' };
  t.equal(outcomeOf(await browser.post('/sign-in', again)), 'page 400');
  t.equal(outcomeOf(await browser.open(`/authorize?interaction=${signInForm.interaction}`)), 'page 400');
});

test('an answer is given once, however often it is asked for at the same time', async (t) => {
  const app = await newApp();
  const browser = await signedIn();
  await browser.open(app.asking('openid'));
  const { interaction } = browser.hidden();
  await issuer.database.query('UPDATE interaction SET consented_by = $2 WHERE id = $1', [interaction, ada.id]);
  const path = `/authorize?interaction=${interaction}`;
  const answers = await Promise.all(Array.from({ length: 20 }, () => get(issuer, path, browser.headers())));
  t.equal(answers.filter(({ headers }) => /code=/.test(String(headers.location))).length, 1);
  t.equal(answers.filter(({ status }) => status === 400).length, 19);
});

test('nobody confirms what another person was shown', async (t) => {
  const app = await newApp({ skipConsent: false });
  const browser = await signedIn();
  await browser.open(app.asking('openid orders:write'));
  const form: Record<string, string> = { ...browser.hidden(), decision: 'allow' };
  await browser.open(authorizePath(trusted.id, challenge, { prompt: 'login' }));
  t.equal(outcomeOf(await browser.submit({ email: grace.email, password })), 'code', 'another tab, another person');

  const { status, left } = await browser.post('/consent', form);
  t.same({ status, left }, { status: 403, left: undefined });
  t.equal(await findConsent(issuer.database, grace.id, app.id), undefined);
  const asked = await browser.open(`/authorize?interaction=${form.interaction}`);
  t.equal(outcomeOf(asked), 'consent', 'she is asked herself');
  t.match(asked.html, /grace@example\.org/);
});

test('an interaction belongs to the browser that began it', async (t) => {
  const app = await newApp();
  const browser = await signedIn();
  await browser.open(app.asking('openid'));
  const form: Record<string, string> = { ...browser.hidden(), decision: 'allow' };
  const thief = await signedIn();
  await thief.open(authorizePath(trusted.id, challenge, { prompt: 'consent' }));
  const own = thief.hidden();
  for (const path of ['/consent', '/choose-account']) {
    t.equal(outcomeOf(await thief.post(path, form)), 'page 403', 'with the form as it was');
    t.equal(
      outcomeOf(await thief.post(path, { ...form, csrf: own.csrf ?? '' })),
      'page 400',
      'with a value of their own',
    );
  }
  t.equal(outcomeOf(await thief.open(`/authorize?interaction=${form.interaction}`)), 'page 400');
  t.equal(outcomeOf(await browser.post('/consent', form)), 'code', 'and is none the worse for it');
});

test('a scope may be called what every object has', async (t) => {
  const app = await newApp({ scopes: ['openid', 'constructor', 'toString'], resources: [orders.identifier] });
  const { status, html } = await (await signedIn()).open(app.asking('openid constructor toString'));
  t.equal(status, 200);
  t.match(html, /constructor/);
});
