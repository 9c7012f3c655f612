import { generateKeyPairSync } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { t as file, test } from 'tap';
import { scheduleOf } from '../src/keys/lifecycle.ts';
import { listSigningKeys } from '../src/store/signing-key.ts';
import { type Inspection, inspectToken } from '../src/tokens/inspect.ts';
import { createTestClock } from './support/clock.ts';
import { orders, post, registerClient, registerResource, startIssuer } from './support/issuer.ts';
import { type Ended, keyturn, keyturnWithInput } from './support/process.ts';
import { execute } from './support/run.ts';

const now = () => Math.floor(Date.now() / 1000);
const clock = createTestClock(now() - 3600);
const issuer = await startIssuer(file, { clock });
await registerResource(issuer);
const { basic } = await registerClient(issuer);
const env = { DATABASE_URL: issuer.databaseUrl, ISSUER: issuer.issuer };
const old = await issueToken();
clock.advance(3600);
const good = await issueToken();

/** An access token, issued when the clock says. */
async function issueToken(): Promise<string> {
  const answer = await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: basic });
  return answer.json.access_token;
}

/** What is wrong with a token, by what is said about it. */
async function faults(token: string): Promise<Record<string, string>> {
  const schedule = scheduleOf({ signFor: 2_592_000, jwksMaxAge: 600, longestTokenTtl: 600, longestGrant: 2_592_000 });
  const keys = await listSigningKeys(issuer.database);
  const denylist = { isVoid: () => false };
  const inspection = await inspectToken(token, { issuer: issuer.issuer, keys, schedule, denylist, now: clock.now() });
  const bad = inspection?.findings.filter((finding) => !finding.good) ?? [];
  return Object.fromEntries(bad.map(({ about, says }) => [about, says]));
}

function encode(part: object | string): string {
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');
}

test('a good token is explained: header, claims, times in words, and that its signature and key are good', async (t) => {
  const { code, stdout, stderr } = await keyturn(env, 'token', 'inspect', good);
  t.same({ code, stderr }, { code: 0, stderr: '' });
  const { kid } = decodeProtectedHeader(good);
  const { jti, sub } = decodeJwt(good);
  t.match(
    stdout,
    new RegExp(
      `^Header\n  alg +ES256\n  typ +at\\+jwt\n  kid +${kid}\nClaims\n  iss +http://localhost:3000\n  sub +${sub}\n`,
    ),
  );
  t.match(stdout, /^ {2}iat +\d+ {2}\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \((now|\d+ s ago)\)$/m);
  t.match(stdout, /^ {2}exp +\d+ {2}\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \(in (10 min|9 min \d+ s)\)$/m);
  t.match(stdout, new RegExp(`^  jti +${jti}$`, 'm'));
  t.match(stdout, /^ {2}ok {2}key +signing, published$/m);
  t.match(stdout, /^ {2}ok {2}signature +made by this key over exactly this text$/m);
  t.match(stdout, /\nThe token is good\.\n$/);
});

test('a token that was revoked is not good, however well it is signed', async (t) => {
  const revoked = await issueToken();
  t.equal((await keyturn(env, 'revoke', '--token', revoked)).code, 0);
  const { code, stdout } = await keyturn(env, 'token', 'inspect', revoked);
  t.equal(code, 1);
  t.match(stdout, /^ {2}BAD denylist +revoked: it, its grant/m);
  t.match(stdout, /^ {2}ok {2}signature/m);
});

test('a token on standard input is as good, with what a pipe adds', async (t) => {
  const { code, stdout } = await keyturnWithInput(`${good}\r\n`, env, 'token', 'inspect', '-', '--json');
  t.equal(code, 0);
  t.match(JSON.parse(stdout), { good: true, header: { alg: 'ES256' }, claims: { aud: orders.identifier } });

  const none = await keyturnWithInput('', env, 'token', 'inspect', '-');
  t.match(none, { code: 2, stdout: '', stderr: /^keyturn: that is not a JWT: [^\n]+\n$/ });
  const endless = await keyturnWithInput('x'.repeat(1_000_000), env, 'token', 'inspect', '-');
  t.same(endless, { code: 2, stdout: '', stderr: 'keyturn: that is longer than any token\n' });
});

test('a token that is not good is explained too, and ends with exit code 1', async (t) => {
  const words = await keyturn(env, 'token', 'inspect', old);
  t.same({ code: words.code, stderr: words.stderr }, { code: 1, stderr: '' });
  t.match(words.stdout, /^ {2}exp +\d+ {2}\S+Z \(50 min( \d+ s)? ago\)$/m);
  t.match(words.stdout, /^ {2}BAD expiry +expired$/m);
  t.match(words.stdout, /\nThe token is NOT good\.\n$/);
  const json = await keyturn(env, 'token', 'inspect', old, '--json');
  t.equal(json.code, 1);
  const { good, findings } = JSON.parse(json.stdout) as Inspection & { good: boolean };
  t.equal(good, false);
  t.same(
    findings.filter((finding) => !finding.good),
    [{ about: 'expiry', good: false, says: 'expired' }],
  );
});

test('what is wrong with a token is said: tampered with, foreign, forged', async (t) => {
  const [header = '', payload = '', signature = ''] = good.split('.');
  const richer = { ...decodeJwt(good), scope: 'orders:read orders:write admin' };
  t.same(await faults(`${header}.${encode(richer)}.${signature}`), {
    signature: 'not made by this key over this text',
  });
  t.same(Object.keys(await faults(`${header}.${payload}.`)), ['signature']);
  t.same(Object.keys(await faults(`${encode({ alg: 'none' })}.${payload}.`)), ['algorithm', 'key']);

  const theirs = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const { kid } = decodeProtectedHeader(good);
  const claims = { iss: 'https://issuer.example', exp: now() + 60, iat: now() + 60 };
  const foreign = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'theirs' }).sign(theirs);
  t.same(await faults(foreign), {
    key: 'no key of ours has this kid and algorithm',
    issuer: 'not us (http://localhost:3000)',
    issued: 'in the future',
  });
  const forged = await new SignJWT(decodeJwt(good)).setProtectedHeader({ alg: 'ES256', kid: String(kid) }).sign(theirs);
  t.same(Object.keys(await faults(forged)), ['signature']);
});

test('a token of a key that is withdrawn is not good', async (t) => {
  const { kid } = decodeProtectedHeader(good);
  await execute(issuer.databaseUrl, `UPDATE signing_key SET revoked_at = now() WHERE kid = '${kid}'`);
  t.same(await faults(good), { key: 'revoked: verifiers do not have it any more' });
});

test('what a stranger has put into a token does not steer the terminal', async (t) => {
  const claims = {
    'na\u001b]0;me\u0007': 'clear\u001b[2J',
    note: 'two\nlines\u202e',
    deep: JSON.parse('['.repeat(3000) + ']'.repeat(3000)),
  };
  const token = `${encode({ alg: 'ES256\u001b[31m', exp: 1e300 })}.${encode(claims)}.${encode('x')}`;
  const said: Ended = await keyturn(env, 'token', 'inspect', token);
  t.equal(said.code, 1);
  t.equal(said.stderr, '');
  t.match(said.stdout, 'clear\\u{1b}[2J');
  t.match(said.stdout, 'two\\u{a}lines\\u{202e}');
  t.notMatch(said.stdout, /[^\P{Cc}\n]|\p{Cf}/u);
});
