import tap, { test } from 'tap';
import type { Client } from '../src/protocol/client.ts';
import { disable, endSignIns, type User, type UserChange } from '../src/protocol/user.ts';
import { changing } from '../src/store/change.ts';
import { updateUser } from '../src/store/user.ts';
import { createBrowser, outcomeOf, type TestBrowser } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { get, registerResource, startIssuer, updateClient } from './support/issuer.ts';
import { authorizePath, newVerifier, password, redeem, registerApp, registerUser, signIn } from './support/people.ts';

const clock = createTestClock();
const issuer = await startIssuer(tap, { clock });
await registerResource(issuer);
const trusted = await registerApp(issuer, { skipConsent: true });
const { verifier, challenge } = newVerifier();
const path = authorizePath(trusted.id, challenge);

let people = 0;

/** Somebody new, in a browser in which they have signed in. */
async function signedIn(): Promise<{ browser: TestBrowser; user: User }> {
  people += 1;
  const user = await registerUser(issuer, { email: `person-${people}@example.org` });
  const browser = createBrowser(issuer);
  await signIn(browser, path, user);
  return { browser, user };
}

function change(user: User, decide: (user: User) => UserChange) {
  return changing(issuer.database, (tx) => updateUser(tx, user.id, decide));
}

async function changeClient(id: string, values: Partial<Client>): Promise<void> {
  await updateClient(issuer.database, id, async () => values);
  await issuer.app.refresh();
}

const hour = 3_600;
const day = 24 * hour;

test('a session ends when it was not used for a day', async (t) => {
  const { browser } = await signedIn();
  for (const visit of [1, 2, 3]) {
    clock.advance(day - 1);
    t.equal(outcomeOf(await browser.open(path)), 'code', `${visit} days on, with a visit each day`);
  }
  clock.advance(day);
  t.equal(outcomeOf(await browser.open(path)), 'sign-in');
});

test('a session ends after a fortnight, however much it was used', async (t) => {
  const { browser, user } = await signedIn();
  for (let visit = 0; visit < 27; visit += 1) {
    clock.advance(day / 2);
    await browser.open(path);
  }
  clock.advance(day / 2 - 1);
  t.equal(outcomeOf(await browser.open(path)), 'code');
  clock.advance(1);
  t.equal(outcomeOf(await browser.open(path)), 'sign-in');
  t.equal(outcomeOf(await browser.submit({ email: user.email, password })), 'code');
  clock.advance(hour);
  t.equal(outcomeOf(await browser.open(path)), 'code', 'signing in begins another fortnight');
});

test('a person may take half an hour', async (t) => {
  const user = await registerUser(issuer, { email: 'slow@example.org' });
  const [quick, slow] = [createBrowser(issuer), createBrowser(issuer)];
  for (const browser of [quick, slow]) await browser.open(path);
  clock.advance(30 * 60 - 1);
  t.equal(outcomeOf(await quick.submit({ email: user.email, password })), 'code');
  clock.advance(1);
  const { status, html } = await slow.submit({ email: user.email, password });
  t.equal(status, 400);
  t.match(html, /sign-in is over/);
  t.equal(outcomeOf(await slow.open(path)), 'code', 'the password was right, so beginning again does it');
});

const endings: [what: string, decide: (user: User) => UserChange][] = [
  ['disabled', (user) => disable(user, clock.now())],
  ['signed out everywhere', endSignIns],
];

test('a person who is disabled, or signed out everywhere, has no session any more', async (t) => {
  for (const [what, decide] of endings) {
    const { browser, user } = await signedIn();
    await change(user, decide);
    t.equal(outcomeOf(await browser.open(path)), 'sign-in');
    const again = outcomeOf(await browser.submit({ email: user.email, password }));
    t.equal(again, what === 'disabled' ? 'sign-in' : 'code');
  }
});

test('a person who is disabled, or signed out everywhere, decides nothing by a form that is open', async (t) => {
  for (const [what, decide] of endings) {
    const app = await registerApp(issuer);
    const { browser, user } = await signedIn();
    t.equal(outcomeOf(await browser.open(authorizePath(app.id, challenge))), 'consent');
    await change(user, decide);
    t.equal(outcomeOf(await browser.submit({ decision: 'allow' })), 'sign-in', 'and is asked who they are');
    const consents = await issuer.database.query('SELECT 1 FROM consent WHERE user_id = $1', [user.id]);
    t.same(consents, [], what);
  }
});

test('a session that ends while it is being answered from is told to the client: login_required', async (t) => {
  const { browser } = await signedIn();
  const query = (text: string) => issuer.database.query(text);
  await query('CREATE FUNCTION gone() RETURNS trigger AS $$ BEGIN RETURN NULL; END $$ LANGUAGE plpgsql');
  await query('CREATE TRIGGER gone BEFORE UPDATE ON session FOR EACH ROW EXECUTE FUNCTION gone()');
  const { left } = await browser.open(path);
  await query('DROP TRIGGER gone ON session');
  t.match(Object.fromEntries(left?.searchParams ?? []), { error: 'login_required', state: 'the state' });
  t.equal(outcomeOf(await browser.open(path)), 'code');
});

test('the code of a person who is disabled, or signed out everywhere, redeems nothing', async (t) => {
  for (const [what, decide] of endings) {
    const { browser, user } = await signedIn();
    const { left } = await browser.open(path);
    await change(user, decide);
    const answer = await redeem(issuer, trusted, left?.searchParams.get('code') ?? '', verifier);
    t.match(answer, { status: 400, json: { error: 'invalid_grant' } }, what);
  }
});

test('userinfo refuses at once the access token of a person who is disabled, or signed out everywhere', async (t) => {
  for (const [what, decide] of endings) {
    const { browser, user } = await signedIn();
    const { left } = await browser.open(path);
    const { json } = await redeem(issuer, trusted, left?.searchParams.get('code') ?? '', verifier);
    await change(user, decide);
    const answer = await get(issuer, '/userinfo', { authorization: `Bearer ${json.access_token}` });
    t.match(answer, { status: 401, json: { error: 'invalid_token' } }, what);
  }
});

test('a client that is disabled gets no more answers, wherever a person was', async (t) => {
  const app = await registerApp(issuer);
  const { browser } = await signedIn();
  const code = (await signIn(browser, authorizePath(app.id, challenge))).left?.searchParams.get('code') ?? '';
  await browser.open(authorizePath(app.id, challenge, { prompt: 'consent' }));
  await changeClient(app.id, { disabledAt: clock.now() });

  t.equal(outcomeOf(await browser.submit({ decision: 'allow' })), 'page 400');
  t.equal(outcomeOf(await browser.open(authorizePath(app.id, challenge))), 'page 400', 'a page, as it is nobody’s now');
  t.match(await redeem(issuer, app, code, verifier), { status: 401, json: { error: 'invalid_client' } });

  await changeClient(app.id, { disabledAt: null, epoch: 1, grantEpoch: 1 });
  t.match(await redeem(issuer, app, code, verifier), { status: 400, json: { error: 'invalid_grant' } });
  t.equal(outcomeOf(await browser.open(authorizePath(app.id, challenge))), 'code', 'enabled, it begins anew');
});

test('a redirect URI that is withdrawn gets no answer that was under way', async (t) => {
  const app = await registerApp(issuer);
  const { browser } = await signedIn();
  await browser.open(authorizePath(app.id, challenge));
  const form = browser.hidden();
  await changeClient(app.id, { redirectUris: ['https://moved.example/callback'] });
  for (const decision of ['allow', 'deny']) {
    const { status, left } = await browser.post('/consent', { ...form, decision });
    t.same({ status, left }, { status: 400, left: undefined });
  }
});
