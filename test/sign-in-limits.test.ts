import tap, { test } from 'tap';
import { createBrowser, outcomeOf, type TestBrowser, type Visit } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { background, post, registerClient, registerResource, startIssuer } from './support/issuer.ts';
import { authorizePath, newVerifier, password, registerApp, registerUser } from './support/people.ts';

const clock = createTestClock();
const settings = { TRUST_PROXY: 'loopback' };
const issuer = await startIssuer(tap, { clock, settings });
const other = await startIssuer(tap, { clock, settings, beside: issuer });
await registerResource(issuer);
const app = await registerApp(issuer, { skipConsent: true });
await other.app.refresh();
const path = authorizePath(app.id, newVerifier().challenge);

let networks = 0;
/** An address that nobody has tried from. */
const elsewhere = () => `198.51.${Math.floor(networks / 200)}.${(networks++ % 200) + 1}`;

let people = 0;
const somebody = async () => (await registerUser(issuer, { email: `person${people++}@example.org` })).email;

async function stranger(address = elsewhere(), at = issuer): Promise<TestBrowser> {
  const browser = createBrowser(at, { address });
  await browser.open(path);
  return browser;
}

/** What a sign-in comes to: `code`, or the status and how long to wait. */
function verdict(visit: Visit): string {
  const { status, headers } = visit;
  return status === 429 ? `429, wait ${headers['retry-after']}` : outcomeOf(visit);
}

async function fail(browser: TestBrowser, email: string, times: number): Promise<void> {
  for (let count = 0; count < times; count += 1) await browser.submit({ email, password: `wrong ${count}` });
}

test('who guesses at one account waits twice as long each time, wherever the guesses come from', async (t) => {
  const email = await somebody();
  for (let count = 0; count < 5; count += 1) {
    const browser = await stranger();
    t.equal(verdict(await browser.submit({ email, password: 'wrong' })), 'sign-in', 'five are free');
  }
  const browser = await stranger();
  for (const wait of [1, 2, 4, 8, 16]) {
    await browser.submit({ email, password: 'wrong' });
    t.equal(verdict(await browser.submit({ email, password: 'wrong' })), `429, wait ${wait}`);
    clock.advance(wait - 1);
    t.equal(verdict(await browser.submit({ email, password })), '429, wait 1', 'not even with the right one');
    clock.advance(1);
  }
  t.equal(verdict(await browser.submit({ email, password })), 'code', 'what was refused has not been counted');
});

test('nobody has to wait for more than a quarter of an hour, and an hour later all is forgotten', async (t) => {
  const email = await somebody();
  const browser = await stranger();
  for (let count = 0; count < 20; count += 1) {
    await browser.submit({ email, password: 'wrong' });
    clock.advance(900);
    await browser.open(path);
  }
  await browser.submit({ email, password: 'wrong' });
  t.equal(verdict(await browser.submit({ email, password })), '429, wait 900');
  clock.advance(900 + 3601);
  await browser.open(path);
  await browser.submit({ email, password: 'wrong' });
  t.equal(verdict(await browser.submit({ email, password: 'wrong' })), 'sign-in', 'free again');
});

test('an attacker keeps nobody out whose browser has signed in before', async (t) => {
  const email = await somebody();
  const owner = await stranger();
  t.equal(verdict(await owner.submit({ email, password })), 'code');
  for (const name of [...owner.cookies.keys()]) if (name !== 'kt_known') owner.cookies.delete(name);
  await fail(await stranger(), email, 6);
  t.match(verdict(await (await stranger()).submit({ email, password })), /^429/);
  await owner.open(path);
  t.equal(verdict(await owner.submit({ email, password: 'mistyped' })), 'sign-in', 'it has a count of its own');
  t.equal(verdict(await owner.submit({ email, password })), 'code');
});

test('the cookie of a browser helps with no account but those that have signed in by it', async (t) => {
  const [victim, own] = [await somebody(), await somebody()];
  const attacker = await stranger();
  t.equal(verdict(await attacker.submit({ email: own, password })), 'code');
  const cookie = attacker.cookies.get('kt_known') ?? '';
  await fail(await stranger(), victim, 6);
  for (const value of [cookie, `${cookie}x`, cookie.replace(/\.[^.]*$/, '.AAAA'), 'x'.repeat(3_000)]) {
    const browser = await stranger();
    browser.cookies.set('kt_known', value);
    t.match(verdict(await browser.submit({ email: victim, password })), /^429/);
  }
  t.ok(!cookie.includes('@') && cookie.length > 100, 'it is sealed');
});

test('a browser that knows an account is slowed down by itself', async (t) => {
  const email = await somebody();
  const browser = await stranger();
  await browser.submit({ email, password });
  browser.cookies.delete('kt_session');
  await browser.open(path);
  await fail(browser, email, 6);
  t.equal(verdict(await browser.submit({ email, password })), '429, wait 1');
  t.equal(verdict(await (await stranger()).submit({ email, password })), 'code', 'and by itself alone');
});

test('one password tried on many accounts from one address is as slow, be there such accounts or not', async (t) => {
  const address = elsewhere();
  const browser = await stranger(address);
  const email = await somebody();
  for (let count = 0; count < 31; count += 1) {
    const name = count % 2 === 0 ? `nobody${count}@example.org` : await somebody();
    t.equal(verdict(await browser.submit({ email: name, password: 'Sommer2026!' })), 'sign-in');
  }
  t.equal(verdict(await browser.submit({ email, password })), '429, wait 1');
  t.equal(verdict(await browser.submit({ email: 'not an address', password })), '429, wait 1');
  t.equal(
    verdict(await (await stranger(address, other)).submit({ email, password })),
    '429, wait 1',
    'on any instance',
  );
  t.equal(verdict(await (await stranger()).submit({ email, password })), 'code', 'not from elsewhere');
});

test('the whole network of an IPv6 customer is one address', async (t) => {
  const email = await somebody();
  for (let count = 0; count < 31; count += 1) {
    const browser = await stranger(`2001:db8:7:7:${count.toString(16)}::1`);
    await browser.submit({ email: `nobody${count}@example.net`, password });
  }
  t.match(verdict(await (await stranger('2001:db8:7:7:ffff::9')).submit({ email, password })), /^429/);
  t.equal(verdict(await (await stranger('2001:db8:7:8::1')).submit({ email, password })), 'code');
});

test('a JSON sign-in is counted as any other', async (t) => {
  const email = await somebody();
  const origin = 'http://app.localhost:4000';
  const firstParty = { firstParty: true, authMethod: 'none' as const, secretDigests: [], origins: [origin] };
  await registerClient(issuer, { ...firstParty, grantTypes: ['refresh_token'] });
  const signIn = (given: string) =>
    issuer.app.server.inject({
      method: 'POST',
      url: '/session',
      headers: { origin, 'x-forwarded-for': '203.0.113.77' },
      payload: { email, password: given },
    });
  for (let count = 0; count < 6; count += 1) t.equal((await signIn('wrong')).statusCode, 403);
  const refused = await signIn(password);
  t.same([refused.statusCode, refused.headers['retry-after']], [429, '1']);
  t.equal(refused.json().error, 'temporarily_unavailable');
  t.match(verdict(await (await stranger()).submit({ email, password })), /^429/, 'the page knows of it');
  clock.advance(1);
  const good = await signIn(password);
  t.equal(good.statusCode, 200);
  t.match(good.headers['set-cookie'], [/^kt_known=/]);
});

test('nor is the current password guessed where it is changed', async (t) => {
  const email = await somebody();
  const browser = await stranger();
  await browser.submit({ email, password });
  await browser.open('/account');
  const change = {
    act: 'change-password',
    new_password: 'sixteen tons of tea',
    repeated_password: 'sixteen tons of tea',
  };
  const form = browser.hidden();
  for (let count = 0; count < 6; count += 1)
    await browser.post('/account', { ...form, ...change, current_password: 'x' });
  const { status, headers } = await browser.post('/account', { ...form, ...change, current_password: password });
  t.same([status, headers['retry-after']], [429, '1']);
});

test('a sign-in costs three statements, and one that fails no more; what is refused costs one and no hash', async (t) => {
  const email = await somebody();
  const browser = await stranger();
  const spent = async (given: string) => {
    issuer.statements.length = 0;
    const hidden = browser.hidden();
    const from = { ...browser.headers(), 'content-type': 'application/x-www-form-urlencoded' };
    const begun = process.cpuUsage();
    await post(issuer, '/sign-in', { ...hidden, email, password: given }, from);
    const { user } = process.cpuUsage(begun);
    return { statements: issuer.statements.filter((text) => !background.test(text)).length, milliseconds: user / 1000 };
  };
  const wrong = await spent('wrong');
  t.ok(wrong.statements <= 3, `${wrong.statements} for a wrong one`);
  await fail(browser, email, 5);
  // The least of a few: whatever else the process does in such a moment is no hash.
  let least = Number.POSITIVE_INFINITY;
  for (let count = 0; count < 5; count += 1) {
    const refused = await spent(password);
    t.equal(refused.statements, 1);
    least = Math.min(least, refused.milliseconds);
  }
  t.ok(least < wrong.milliseconds / 2, `${least} ms against ${wrong.milliseconds}`);
  clock.advance(900);
  const good = await spent(password);
  t.ok(good.statements <= 3, `${good.statements} for the right one`);
});
