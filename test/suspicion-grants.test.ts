import { decodeJwt } from 'jose';
import tap, { test } from 'tap';
import { createTestClock } from './support/clock.ts';
import { type Answer, background, post, registerResource, startIssuer, type TestIssuer } from './support/issuer.ts';
import { obtainTokens, redeem, registerApp, registerUser } from './support/people.ts';
import { suspicionsOf } from './support/suspicions.ts';

const clock = createTestClock();
const settings = { TRUST_PROXY: 'loopback' };
const issuer = await startIssuer(tap, { clock, settings });
const other = await startIssuer(tap, { clock, settings, beside: issuer });
await registerResource(issuer);
const ada = await registerUser(issuer);
const grantTypes = ['authorization_code', 'refresh_token'];
const rotating = await registerApp(issuer, { grantTypes });
const keeping = await registerApp(issuer, { grantTypes, refreshRotates: false });
await other.app.refresh();
const suspicions = suspicionsOf(issuer, other);

const home = '198.51.100.7';
const mobile = '203.0.113.9';

interface Holding {
  readonly app: { readonly basic: string };
  token: string;
}

async function hold(app: { id: string; basic: string }): Promise<Holding & { gid: string }> {
  const { json } = await obtainTokens(issuer, app);
  return { app, token: json.refresh_token, gid: String(decodeJwt(json.refresh_token).gid) };
}

async function refresh(held: Holding, from: string, at: TestIssuer = issuer): Promise<Answer> {
  const form = { grant_type: 'refresh_token', refresh_token: held.token };
  const answer = await post(at, '/token', form, { authorization: held.app.basic, 'x-forwarded-for': from });
  if (answer.status === 200) held.token = answer.json.refresh_token;
  return answer;
}

test('a refresh token that comes again is told of, with where from, and once', async (t) => {
  const held = await hold(rotating);
  const stolen = { ...held };
  await refresh(held, home);
  await refresh(held, home);
  await suspicions();
  for (let count = 0; count < 3; count += 1) t.equal((await refresh({ ...stolen }, mobile)).status, 400);
  t.match(await suspicions(), [
    { act: 'suspicious: refresh-token-reuse', target: `grant ${held.gid}`, address: mobile, actor: 'issuer' },
  ]);
  t.equal((await refresh(held, home)).status, 400, 'and the grant has ended');
});

test('a refresh that got lost and is asked again is not', async (t) => {
  const held = await hold(rotating);
  const lost = { ...held };
  await refresh(held, home);
  t.equal((await refresh(lost, mobile, other)).status, 200, 'also where the phone has changed networks in between');
  t.same(await suspicions(), []);
});

test('nor are tokens of a grant that has ended, nor those that are forged or another client’s', async (t) => {
  const held = await hold(rotating);
  await post(issuer, '/revoke', { token: held.token }, { authorization: rotating.basic });
  await refresh(held, home);
  await refresh({ ...held, app: keeping }, home);
  await refresh({ ...held, token: `${held.token.slice(0, -8)}AAAAAAAA` }, home);
  t.same(await suspicions(), []);
});

test('a code that comes again is told of; one without its proof is not', async (t) => {
  const { code, verifier, json } = await obtainTokens(issuer, rotating);
  t.equal((await redeem(issuer, rotating, code, undefined)).status, 400);
  t.equal((await redeem(issuer, keeping, code, verifier)).status, 400);
  t.same(await suspicions(), []);
  await redeem(issuer, rotating, code, verifier);
  await redeem(issuer, rotating, code, verifier);
  const target = `grant ${decodeJwt(json.refresh_token).gid}`;
  t.match(await suspicions(), [{ act: 'suspicious: code-replay', target, address: '127.0.0.1' }]);
});

test('one grant that two networks refresh in turns is told of, whichever instances they go to', async (t) => {
  const held = await hold(keeping);
  const thief = { ...held };
  await refresh(held, home);
  clock.advance(200);
  await refresh(thief, mobile, other);
  clock.advance(200);
  await refresh(held, home);
  t.same(await suspicions(), []);
  clock.advance(200);
  t.equal((await refresh(thief, mobile, other)).status, 200);
  t.match(await suspicions(), [
    {
      act: 'suspicious: grant-in-two-places',
      target: `grant ${held.gid}`,
      address: mobile,
      reason: 'one grant was refreshed in turns from 203.0.113.0/24, 198.51.100.0/24',
    },
  ]);
  clock.advance(200);
  await refresh(held, home);
  t.same(await suspicions(), [], 'once in ten minutes');
});

test('a thief who comes from elsewhere each time is as well', async (t) => {
  const held = await hold(keeping);
  for (const from of [home, '192.0.2.1', home, '192.0.3.1']) {
    await refresh(held, from);
    clock.advance(250);
  }
  t.match(await suspicions(), [{ act: 'suspicious: grant-in-two-places' }]);
});

test('a phone that changes networks, there and back, is not', async (t) => {
  for (const app of [rotating, keeping]) {
    const held = await hold(app);
    for (const from of [home, home, mobile, mobile, home, home]) {
      await refresh(held, from);
      clock.advance(120);
    }
  }
  t.same(await suspicions(), []);
});

test('nor one that is elsewhere each time its access token is about to expire', async (t) => {
  const held = await hold(rotating);
  for (let count = 0; count < 8; count += 1) {
    await refresh(held, count % 2 === 0 ? home : mobile);
    clock.advance(500);
  }
  t.same(await suspicions(), []);
});

test('nor addresses that change within one network, nor what a proxy hides', async (t) => {
  const held = await hold(keeping);
  for (const from of [home, '198.51.100.200', home, '198.51.100.201', '::ffff:198.51.100.3']) await refresh(held, from);
  for (const from of ['2001:db8:7:1::1', '2001:db8:7:2::1', '2001:db8:7:ffff::1']) await refresh(held, from);
  for (let count = 0; count < 6; count += 1) await refresh(held, '127.0.0.1');
  t.same(await suspicions(), []);
  const row = await issuer.database.prisma.grant.findUniqueOrThrow({ where: { id: held.gid } });
  t.same(row.networks, [`2001:db8:7::/48 ${clock.now()}`, `198.51.100.0/24 ${clock.now()}`]);
});

test('what it costs: no statement, and no more than four networks in the row', async (t) => {
  const held = await hold(keeping);
  const before = issuer.statements.length;
  for (let count = 0; count < 7; count += 1) {
    await refresh(held, `192.0.${count}.1`);
    clock.advance(601);
  }
  const sent = issuer.statements.slice(before).filter((text) => !background.test(text));
  t.equal(sent.length, 7);
  const row = await issuer.database.prisma.grant.findUniqueOrThrow({ where: { id: held.gid } });
  t.equal(row.networks.length, 4);
  t.match(row.networks[0], /^192\.0\.6\.0\/24 /);
  t.equal(row.userId, ada.id);
});
