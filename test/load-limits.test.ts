import tap, { test } from 'tap';
import { createRate } from '../src/http/rate.ts';
import { createTestClock } from './support/clock.ts';
import { get, post, registerClient, registerResource, startIssuer } from './support/issuer.ts';
import { authorizePath, newVerifier, registerApp } from './support/people.ts';
import { eventually } from './support/process.ts';

const clock = createTestClock();
const issuer = await startIssuer(tap, { clock, settings: { TOKEN_RATE: '5', TRUST_PROXY: '127.0.0.1' } });
await registerResource(issuer);
const machine = await registerClient(issuer);
const other = await registerClient(issuer);
const app = await registerApp(issuer);
const grant = { grant_type: 'client_credentials' };

async function askedFrom(path: string, address: string, headers: Record<string, string> = {}) {
  const answer = await issuer.app.server.inject({ url: path, headers: { 'x-forwarded-for': address, ...headers } });
  return { status: answer.statusCode, retryAfter: answer.headers['retry-after'], type: answer.headers['content-type'] };
}

/** Keeps the event loop from turning, in pieces of so many milliseconds, until the server has noticed. */
async function beBusy(piece: number): Promise<void> {
  const end = performance.now() + 2_600;
  while (performance.now() < end) {
    const until = performance.now() + piece;
    while (performance.now() < until);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a client that asks too often waits, and no other', async (t) => {
  const ask = ({ basic }: { basic: string }) => post(issuer, '/token', grant, { authorization: basic });
  for (let count = 0; count < 5; count += 1) t.equal((await ask(machine)).status, 200);
  const { status, headers, json } = await ask(machine);
  t.same([status, headers['retry-after'], json.error], [429, '1', 'temporarily_unavailable']);
  t.equal((await ask(other)).status, 200);
  for (let count = 0; count < 20; count += 1) await post(issuer, '/token', grant, { authorization: 'Basic eDp5' });
  clock.advance(1);
  for (let count = 0; count < 5; count += 1) t.equal((await ask(machine)).status, 200, 'a second later');
});

test('nobody uses up what a client may by its name alone', async (t) => {
  for (let count = 0; count < 20; count += 1) {
    t.equal((await post(issuer, '/token', { ...grant, client_id: other.id, client_secret: 'guessed' })).status, 400);
  }
  t.equal((await post(issuer, '/token', grant, { authorization: other.basic })).status, 200);
  const native = await registerApp(issuer, { authMethod: 'none', secretDigests: [] });
  const redeem = (address: string) =>
    post(issuer, '/token', { grant_type: 'authorization_code', client_id: native.id }, { 'x-forwarded-for': address });
  for (let count = 0; count < 6; count += 1) await redeem('192.0.2.9');
  t.equal((await redeem('192.0.2.9')).status, 429);
  t.equal(
    (await redeem('192.0.2.10')).status,
    400,
    'a public client’s name is anybody’s: each address has its own rate',
  );
});

test('a rate lets a second’s worth through at once, and then an even flow', async (t) => {
  const rate = createRate(4);
  const taken = (now: number) => rate.take('one', now) === 0;
  t.same([100, 100, 100, 100, 100].map(taken), [true, true, true, true, false]);
  t.same([100.2, 100.25, 100.26, 100.5].map(taken), [false, true, false, true]);
  t.equal(rate.take('another', 100.5), 0);
  t.equal(createRate(0.1).take('slow', 5) === 0 ? 'taken' : 'refused', 'refused', 'less than one a second is none');
});

test('what people use is limited per address, as a page where it is a page; documents are not', async (t) => {
  const path = authorizePath(app.id, newVerifier().challenge, { prompt: 'none' });
  for (let count = 0; count < 1_200; count += 1) await askedFrom(path, '192.0.2.1');
  const refused = await askedFrom(path, '192.0.2.1');
  t.match(refused, { status: 429, type: 'text/html; charset=utf-8', retryAfter: /^[1-9]\d?$/ });
  t.match(await askedFrom('/account', '192.0.2.1'), { status: 429 }, 'all such pages together');
  t.match(await askedFrom(path, '192.0.2.2'), { status: 303 }, 'another address');
  for (const document of [
    '/.well-known/jwks.json',
    '/.well-known/openid-configuration',
    '/revocations',
    '/health/live',
  ]) {
    t.match(await askedFrom(document, '192.0.2.1'), { status: 200 }, document);
  }
});

test('behind a proxy that nobody has named, one person cannot use up what all may', async (t) => {
  const unnamed = await startIssuer(t, { clock, beside: issuer });
  const ask = (remoteAddress: string, headers = {}) =>
    unnamed.app.server.inject({ url: '/account', remoteAddress, headers: { ...headers } });
  for (let count = 0; count < 1_201; count += 1) await ask('10.1.2.3', { 'x-forwarded-for': '203.0.113.5' });
  t.equal((await ask('10.1.2.3', { 'x-forwarded-for': '203.0.113.6' })).statusCode, 200);
  const warnings = unnamed.log.filter(({ msg }) => /TRUST_PROXY/.test(String(msg)));
  t.match(warnings, [{ proxy: '10.1.2.3' }], 'the log says which, once');
  for (let count = 0; count < 1_201; count += 1)
    await ask('203.0.113.7', { 'x-forwarded-for': `203.0.113.${count % 200}` });
  t.equal(
    (await ask('203.0.113.7', { 'x-forwarded-for': '198.51.100.1' })).statusCode,
    429,
    'nobody talks their way out',
  );
});

test('who cannot keep up sends people away first, then machines, and documents never', async (t) => {
  const statuses = async () => [
    (await get(issuer, '/account')).status,
    (await post(issuer, '/token', grant, { authorization: machine.basic })).status,
    (await get(issuer, '/.well-known/jwks.json')).status,
    (await get(issuer, '/revocations')).status,
  ];
  const calm = async () => {
    clock.advance(1);
    return (await statuses()).every((status) => status === 200);
  };
  await eventually(calm);
  await beBusy(500);
  t.same(await statuses(), [503, 200, 200, 200]);
  await beBusy(1_500);
  t.same(await statuses(), [503, 503, 200, 200]);
  await eventually(calm);
});
