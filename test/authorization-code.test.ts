import { createLocalJWKSet, jwtVerify } from 'jose';
import { type Test, test } from 'tap';
import { createBrowser } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { background, get, orders, post, registerResource, startIssuer, type TestIssuer } from './support/issuer.ts';
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

async function start(t: Test) {
  const clock = createTestClock();
  const issuer = await startIssuer(t, { clock });
  await registerResource(issuer);
  const user = await registerUser(issuer);
  const app = await registerApp(issuer);
  return { clock, issuer, user, app };
}

async function verified(issuer: TestIssuer, token: string, options: { typ: string; audience: string; now: number }) {
  const keys = createLocalJWKSet((await get(issuer, '/.well-known/jwks.json')).json);
  return jwtVerify(token, keys, { ...options, issuer: issuer.issuer, currentDate: new Date(options.now * 1000) });
}

async function userinfo(issuer: TestIssuer, token: string) {
  return get(issuer, '/userinfo', { authorization: `Bearer ${token}` });
}

test('from sign-in and consent to tokens that say who it was', async (t) => {
  const { issuer, user, app, clock } = await start(t);
  const browser = createBrowser(issuer);
  const { verifier, challenge } = newVerifier();
  const { left } = await signIn(
    browser,
    authorizePath(app.id, challenge, { scope: 'openid profile email orders:read' }),
  );
  t.match(left?.href, /^https:\/\/app\.example\/callback\?/);
  t.same(
    { state: left?.searchParams.get('state'), iss: left?.searchParams.get('iss') },
    { state: 'the state', iss: issuer.issuer },
    'the answer carries state and iss (RFC 9207)',
  );
  const { status, json } = await redeem(issuer, app, left?.searchParams.get('code') ?? '', verifier);
  t.equal(status, 200);
  t.equal(json.scope, 'openid profile email orders:read');

  const id = await verified(issuer, json.id_token, { typ: 'JWT', audience: app.id, now: clock.now() });
  t.equal(id.protectedHeader.alg, 'RS256');
  t.match(id.payload, { sub: user.id, nonce: 'the nonce', auth_time: clock.now(), amr: ['pwd'] });
  t.match(id.payload.sid, /^session_/);
  const access = await verified(issuer, json.access_token, {
    typ: 'at+jwt',
    audience: orders.identifier,
    now: clock.now(),
  });
  t.match(access.payload, { sub: user.id, client_id: app.id, aud: [orders.identifier, issuer.issuer] });

  const info = await userinfo(issuer, json.access_token);
  t.same(info.json, { sub: user.id, name: 'Ada Lovelace', email: 'ada@example.org', email_verified: false });
});

test('a second app gets its tokens without a password, and without asking what was allowed before', async (t) => {
  const { issuer, app } = await start(t);
  const other = await registerApp(issuer, { name: 'Other', skipConsent: true });
  const browser = createBrowser(issuer);
  await obtainTokens(issuer, app, {}, browser);
  const { challenge } = newVerifier();
  t.ok((await browser.open(authorizePath(other.id, challenge))).left?.searchParams.get('code'), 'the other app');
  t.ok((await browser.open(authorizePath(app.id, challenge))).left?.searchParams.get('code'), 'the same app again');
  const more = await browser.open(authorizePath(app.id, challenge, { scope: 'openid email' }));
  t.match(more.html, /value="allow"/, 'what was not allowed before is asked for');
});

test('a code works once; used again by who holds all its proof it ends what it gave', async (t) => {
  const { issuer, app, clock } = await start(t);
  const { json, code, verifier } = await obtainTokens(issuer, app);
  t.equal((await userinfo(issuer, json.access_token)).status, 200);
  clock.advance(30);
  const again = await redeem(issuer, app, code, verifier);
  t.match(again, { status: 400, json: { error: 'invalid_grant' } });
  await issuer.app.refresh();
  t.match(await userinfo(issuer, json.access_token), { status: 401, json: { error: 'invalid_token' } });
});

test('without its proof a code neither works nor ends anything', async (t) => {
  const { issuer, app } = await start(t);
  const thief = await registerApp(issuer, { name: 'Thief' });
  const browser = createBrowser(issuer);
  const { verifier, challenge } = newVerifier();
  const { left } = await signIn(browser, authorizePath(app.id, challenge));
  const code = left?.searchParams.get('code') ?? '';
  const attempts = [
    redeem(issuer, thief, code, verifier),
    redeem(issuer, app, code, newVerifier().verifier),
    redeem(issuer, app, code, undefined),
    redeem(issuer, app, code, 'short'),
    redeem(issuer, app, code, verifier, { redirect_uri: 'https://app.example/other' }),
    redeem(issuer, app, `${code.slice(0, -1)}x`, verifier),
    redeem(issuer, app, 'code_nothing', verifier),
  ];
  for (const answer of await Promise.all(attempts)) t.match(answer, { status: 400, json: { error: 'invalid_grant' } });
  const { status, json } = await redeem(issuer, app, code, verifier);
  t.equal(status, 200, 'the right client still redeems it');
  t.match(await redeem(issuer, thief, code, verifier), { status: 400 });
  await issuer.app.refresh();
  t.equal((await userinfo(issuer, json.access_token)).status, 200, 'and keeps what it got');
});

test('a code lives for a minute', async (t) => {
  const { issuer, app, clock } = await start(t);
  const { verifier, challenge } = newVerifier();
  const { left } = await signIn(createBrowser(issuer), authorizePath(app.id, challenge));
  clock.advance(60);
  const answer = await redeem(issuer, app, left?.searchParams.get('code') ?? '', verifier);
  t.match(answer, { status: 400, json: { error: 'invalid_grant' } });
});

test('fifty redemptions at once give tokens once', async (t) => {
  const { issuer, app } = await start(t);
  const { verifier, challenge } = newVerifier();
  const { left } = await signIn(createBrowser(issuer), authorizePath(app.id, challenge));
  const code = left?.searchParams.get('code') ?? '';
  const answers = await Promise.all(Array.from({ length: 50 }, () => redeem(issuer, app, code, verifier)));
  t.equal(answers.filter(({ status }) => status === 200).length, 1);
  t.equal(answers.filter(({ json }) => json.error === 'invalid_grant').length, 49);
});

test('each step costs what it says: sign-in 3 statements, authorize with a session 3, redemption 1', async (t) => {
  const { issuer, app } = await start(t);
  const browser = createBrowser(issuer);
  await obtainTokens(issuer, app, {}, browser);
  const count = async (work: () => Promise<unknown>): Promise<number> => {
    const before = issuer.statements.length;
    await work();
    const sent = issuer.statements.slice(before);
    return sent.filter((text) => !/change_id_seq|instance|expires_at < now|FROM change|logout_delivery/.test(text))
      .length;
  };
  const { verifier, challenge } = newVerifier();
  let left: URL | undefined;
  const authorize = await count(async () => {
    ({ left } = await browser.open(authorizePath(app.id, challenge)));
  });
  t.equal(authorize, 3);
  t.equal(await count(() => redeem(issuer, app, left?.searchParams.get('code') ?? '', verifier)), 1);

  const page = await browser.open(authorizePath(app.id, challenge, { prompt: 'login' }));
  t.match(page.html, /type="password"/);
  const form = { ...browser.hidden(), email: 'ada@example.org', password };
  const signedIn = await count(() => post(issuer, '/sign-in', form, browser.headers()));
  t.equal(signedIn, 3);
});

test('a slip in what is asked for does not use the code up', async (t) => {
  const { issuer, app } = await start(t);
  const { verifier, challenge } = newVerifier();
  const path = authorizePath(app.id, challenge, { scope: 'openid orders:read' });
  const code = (await signIn(createBrowser(issuer), path)).left?.searchParams.get('code') ?? '';
  const slips = [{ scope: 'admin' }, { scope: 'a  b' }, { resource: 'https://other.example' }];
  for (const slip of slips) {
    const { status, json } = await redeem(issuer, app, code, verifier, slip);
    t.equal(status, 400);
    t.match(json.error, /^invalid_(scope|target)$/);
  }
  for (const slip of slips) {
    t.match(await redeem(issuer, app, code, newVerifier().verifier, slip), { json: { error: 'invalid_grant' } });
  }
  const from = issuer.statements.length;
  const { status, json } = await redeem(issuer, app, code, verifier, { scope: 'openid' });
  t.equal(status, 200, 'neither those nor who has no proof has used it up');
  t.equal(json.scope, 'openid');
  t.equal(issuer.statements.slice(from).filter((text) => !background.test(text)).length, 2);
  t.match(await redeem(issuer, app, code, verifier, { scope: 'admin' }), { json: { error: 'invalid_grant' } });
  t.equal(
    (await userinfo(issuer, json.access_token)).status,
    401,
    'a second use is one, whatever else is wrong with it',
  );
});
