import tap, { test } from 'tap';
import { createBrowser, outcomeOf } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { registerResource, startIssuer, type TestIssuer } from './support/issuer.ts';
import { authorizePath, newVerifier, password, registerApp, registerUser } from './support/people.ts';
import { suspicionsOf } from './support/suspicions.ts';

const clock = createTestClock();
const settings = { TRUST_PROXY: 'loopback', ADMIN_PORT: '0' };
const issuer = await startIssuer(tap, { clock, settings });
const other = await startIssuer(tap, { clock, settings, beside: issuer });
await registerResource(issuer);
const app = await registerApp(issuer, { skipConsent: true });
await other.app.refresh();
const path = authorizePath(app.id, newVerifier().challenge);
const suspicions = suspicionsOf(issuer, other);

let people = 0;
const somebody = () => registerUser(issuer, { email: `person${people++}@example.org` });

/** A browser that has never been here tries once. */
async function tryOnce(address: string, email: string, given = 'wrong', at: TestIssuer = issuer): Promise<string> {
  const browser = createBrowser(at, { address });
  await browser.open(path);
  return outcomeOf(await browser.submit({ email, password: given }));
}

test('one address that fails at many accounts is told of, whichever instances it goes to', async (t) => {
  for (let count = 0; count < 19; count += 1) {
    await tryOnce('198.51.100.7', `name${count}@example.org`, 'Sommer2026!', count % 2 === 0 ? issuer : other);
  }
  t.same(await suspicions(), [], 'nineteen are not twenty');
  await tryOnce('198.51.100.7', (await somebody()).email, 'Sommer2026!', other);
  t.match(await suspicions(), [
    {
      actor: 'issuer',
      act: 'suspicious: many-accounts',
      target: 'address 198.51.100.7',
      address: '198.51.100.7',
      reason: 'sign-ins to 20 accounts failed from one address',
    },
  ]);
  t.match(
    other.log.filter(({ msg }) => msg === 'suspicious activity'),
    [{ level: 40, rule: 'many-accounts', target: 'address 198.51.100.7' }],
  );
  const metrics = (await other.app.adminServer?.inject({ url: '/metrics' }))?.payload ?? '';
  t.match(metrics, 'keyturn_suspicions_total{rule="many-accounts"} 1');
  t.match(metrics, 'keyturn_suspicions_total{rule="code-replay"} 0', 'what has not happened begins at nothing');
});

test('it is told once in ten minutes, of all instances', async (t) => {
  for (const [count, at] of [issuer, other, issuer, other].entries()) {
    await tryOnce('198.51.100.7', `more${count}@example.org`, 'wrong', at);
  }
  t.same(await suspicions(), []);
  clock.advance(601);
  await tryOnce('198.51.100.7', 'again@example.org');
  t.match(await suspicions(), [{ act: 'suspicious: many-accounts' }]);
});

test('an office of forty behind one address, a dozen of whom mistype, is not', async (t) => {
  for (let count = 0; count < 40; count += 1) {
    const { email } = await somebody();
    const slips = count < 12 ? (count % 2) + 1 : 0;
    for (let slip = 0; slip < slips; slip += 1) await tryOnce('203.0.113.40', email, 'mistyped');
    t.equal(await tryOnce('203.0.113.40', email, password), 'code');
  }
  t.same(await suspicions(), []);
});

test('nor one address at which many fail in the course of a day', async (t) => {
  for (let hour = 0; hour < 8; hour += 1) {
    for (let count = 0; count < 5; count += 1) await tryOnce('203.0.113.41', `late${hour}.${count}@example.org`);
    clock.advance(1_800);
  }
  t.same(await suspicions(), [], 'ten in an hour');
});

test('one account that many networks fail at is told of, whichever instances they go to', async (t) => {
  const { id, email } = await somebody();
  for (let count = 0; count < 5; count += 1) await tryOnce(`192.0.${count}.9`, email, 'wrong', other);
  t.same(await suspicions(), []);
  clock.advance(1);
  await tryOnce('2001:db8:1:1::1', email);
  t.match(await suspicions(), [
    {
      act: 'suspicious: many-addresses',
      target: `user ${id}`,
      address: '2001:db8:1:1::1',
      reason: 'sign-ins to one account failed from 6 networks',
    },
  ]);
});

test('an account that does not exist is nobody’s', async (t) => {
  for (let count = 0; count < 6; count += 1) await tryOnce(`192.0.${count}.10`, 'nobody@example.org');
  t.same(await suspicions(), []);
});

test('nor is a password manager that tries an old password again and again', async (t) => {
  const { email } = await somebody();
  const browser = createBrowser(issuer, { address: '203.0.113.50' });
  await browser.open(path);
  for (let count = 0; count < 15; count += 1) {
    await browser.submit({ email, password: 'the old one' });
    clock.advance(60);
  }
  t.same(await suspicions(), []);
});

test('nor are the networks of a browser that has signed in before', async (t) => {
  const { email } = await somebody();
  const browser = createBrowser(issuer, { address: '203.0.113.60' });
  await browser.open(path);
  t.equal(outcomeOf(await browser.submit({ email, password })), 'code');
  const known = browser.cookies.get('kt_known') ?? '';
  for (let count = 0; count < 8; count += 1) {
    const moved = createBrowser(issuer, { address: `192.0.${count}.77` });
    moved.cookies.set('kt_known', known);
    await moved.open(path);
    await moved.submit({ email, password: 'mistyped' });
    clock.advance(300);
  }
  t.same(await suspicions(), []);
});

test('behind a proxy that nobody has named nothing is told of its address', async (t) => {
  const unnamed = await startIssuer(t, { clock, beside: issuer });
  const told = suspicionsOf(unnamed);
  await told();
  for (let count = 0; count < 25; count += 1) {
    await tryOnce('198.51.100.99', `proxied${count}@example.org`, 'wrong', unnamed);
  }
  t.same(await told(), []);
});
