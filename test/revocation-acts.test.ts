import { type RevocationKind, revocationDigest } from '@keyturn/verifier/denylist';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import tap, { test } from 'tap';
import { scheduleOf } from '../src/keys/lifecycle.ts';
import { disableClient, endClientGrants } from '../src/protocol/client.ts';
import { disable, endSignIns, revokeRole } from '../src/protocol/user.ts';
import { addRole } from '../src/store/role.ts';
import { createRevoker } from '../src/tokens/revocation.ts';
import { createBrowser } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { get, orders, post, registerClient, registerResource, startIssuer } from './support/issuer.ts';
import { authorizePath, newVerifier, obtainTokens, redeem, registerApp, registerUser } from './support/people.ts';

const issuer = await startIssuer(tap);
await registerResource(issuer);
const ordersApi = await registerClient(issuer, { serves: [orders.identifier] });
await addRole(issuer.database, { name: 'clerk', permissions: ['order.pack'] });
const appValues = {
  grantTypes: ['authorization_code', 'refresh_token'],
  scopes: ['openid', 'offline_access', 'orders:read'],
  skipConsent: true,
  backchannelLogoutUri: 'http://127.0.0.1:9/logout', // nobody is there: what counts is that it is to be told
};

/** What somebody who is signed in has: three grants, two of them of one client. */
async function begin() {
  const [shop, mail] = [await registerApp(issuer, appValues), await registerApp(issuer, appValues)];
  const user = await registerUser(issuer, { email: `${shop.id}@example.org`, roles: ['clerk'] });
  const browser = createBrowser(issuer);
  const enter = async (client: typeof shop, scope: string) => {
    const { json, ...rest } = await obtainTokens(issuer, client, { scope }, browser, user.email);
    return { client, access: json.access_token as string, refresh: json.refresh_token as string, ...rest };
  };
  const online = await enter(shop, 'openid orders:read');
  const offline = await enter(shop, 'openid orders:read offline_access');
  const other = await enter(mail, 'openid orders:read');
  const sid = String(browser.cookies.get('kt_session')).replace(/\..*/, '');
  return { user, browser, shop, mail, sid, grants: { online, offline, other } };
}
type Person = Awaited<ReturnType<typeof begin>>;

const refresh = (token: string, client: { basic: string }) =>
  post(issuer, '/token', { grant_type: 'refresh_token', refresh_token: token }, { authorization: client.basic });

/** Whether userinfo and introspection take an access token. They never differ. */
async function isAccepted(token: string): Promise<boolean> {
  const { status } = await get(issuer, '/userinfo', { authorization: `Bearer ${token}` });
  const { json } = await post(issuer, '/introspect', { token }, { authorization: ordersApi.basic });
  if (json.active !== (status === 200)) throw new Error(`userinfo ${status}, introspection ${json.active}`);
  return json.active;
}

/** Which of a person's things answer yes, by name. */
async function which(person: Person, holds: (grant: Person['grants']['online']) => Promise<boolean>): Promise<string> {
  const names: string[] = [];
  for (const [name, grant] of Object.entries(person.grants)) if (await holds(grant)) names.push(name);
  return names.join(' ');
}

/** The kinds of entry that the denylist has for what is theirs. */
async function feedOf({ user, shop, mail, grants }: Person): Promise<string> {
  const tokens = Object.values(grants);
  const names: [RevocationKind, string][] = [
    ['sub', user.id],
    ['client', shop.id],
    ['client', mail.id],
    ...tokens.map(({ access }): [RevocationKind, string] => ['jti', String(decodeJwt(access).jti)]),
    ...tokens.map(({ refresh }): [RevocationKind, string] => ['grant', String(decodeJwt(refresh).gid)]),
    ['kid', String(decodeProtectedHeader(grants.online.access).kid)],
  ];
  const rows = await issuer.database.query<{ digest: string }>('SELECT digest FROM revocation');
  const there = rows.flatMap(({ digest }) => names.filter(([kind, name]) => revocationDigest(kind, name) === digest));
  return there.map(([kind]) => kind).join(' ');
}

/** A row of the table: what is left after an act, and what was written. */
async function outcomeOf(person: Person) {
  const { user, browser, shop, mail, grants } = person;
  const accepted = await which(person, ({ access }) => isAccepted(access));
  const { left } = await browser.open(authorizePath(mail.id, newVerifier().challenge, { prompt: 'none' }));
  const redeeming = await which(person, async ({ refresh: token, client }) => {
    const { json } = await refresh(token, client);
    return json.access_token !== undefined && (await isAccepted(json.access_token));
  });
  const [counters] = await issuer.database.query<{ user: string | null; client: string }>(
    `SELECT (SELECT epoch || '/' || grant_epoch FROM "user" WHERE id = $1) AS user, epoch || '/' || grant_epoch AS client
       FROM client WHERE id = $2`,
    [user.id, shop.id],
  );
  const told = await issuer.database.query<{ client_id: string }>(
    'SELECT client_id FROM logout_delivery WHERE user_id = $1 ORDER BY client_id = $2',
    [user.id, mail.id],
  );
  return {
    session: left?.searchParams.has('code') ?? false,
    grants: redeeming,
    accepted,
    epochs: `user ${counters?.user ?? 'gone'}, client ${counters?.client}`,
    feed: await feedOf({ ...person, grants }),
    told: told.map(({ client_id }) => (client_id === shop.id ? 'shop' : 'mail')).join(' '),
  };
}

const revokeByClient = (token: string, { shop }: Person) =>
  post(issuer, '/revoke', { token }, { authorization: shop.basic });

/** What commands do their work by (`cli-revoke.test.ts` has the commands themselves). */
const revoker = createRevoker({ database: issuer.database, now: () => Date.now() / 1000, longestLife: () => 611 });
const reason = 'by command';
const nameless = { exp: undefined, clientId: undefined };
const times = { signFor: 30 * 86_400, jwksMaxAge: 600, longestTokenTtl: 600, longestGrant: 30 * 86_400 };

async function signOut({ browser }: Person): Promise<void> {
  await browser.open('/logout');
  await browser.submit({ decision: 'sign-out' });
}

const all = 'online offline other';
const nothing = { session: true, grants: all, accepted: all, epochs: 'user 0/0, client 0/0', told: '' };
const oneToken = { ...nothing, accepted: 'offline other', feed: 'jti' };
const oneGrant = { ...nothing, grants: 'offline other', accepted: 'offline other', feed: 'grant' };
const oneSession = {
  ...nothing,
  session: false,
  grants: 'offline',
  accepted: 'offline',
  feed: 'grant grant',
  told: 'shop mail',
};
const thePerson = {
  session: false,
  grants: '',
  accepted: '',
  epochs: 'user 1/1, client 0/0',
  feed: 'sub',
  told: 'shop mail',
};
const theClient = { ...nothing, grants: 'other', accepted: 'other', epochs: 'user 0/0, client 1/1', feed: 'client' };

/** DESIGN §3.5, a row for each act. */
const table: Record<string, [act: (person: Person) => Promise<unknown>, left: object]> = {
  '/revoke of an access token': [(p) => revokeByClient(p.grants.online.access, p), oneToken],
  'revoke --jti': [
    ({ grants }) => revoker.revokeToken({ ...nameless, jti: String(decodeJwt(grants.online.access).jti) }, reason),
    oneToken,
  ],
  '/revoke of a refresh token': [(p) => revokeByClient(p.grants.online.refresh, p), oneGrant],
  'revoke --grant': [({ grants }) => revoker.endGrant(String(decodeJwt(grants.online.refresh).gid), reason), oneGrant],
  'reuse of a refresh token': [
    async ({ shop, grants: { online } }) => {
      await refresh((await refresh(online.refresh, shop)).json.refresh_token, shop);
      await refresh(online.refresh, shop);
    },
    oneGrant,
  ],
  'replay of a code': [({ shop, grants: { online } }) => redeem(issuer, shop, online.code, online.verifier), oneGrant],
  'sign-out': [signOut, oneSession],
  'revoke --session': [({ sid }) => revoker.endSession(sid, reason), oneSession],
  'a withdrawn consent': [
    ({ user, shop }) => revoker.withdrawConsent(user.id, shop.id, reason),
    { ...nothing, grants: 'other', accepted: 'other', feed: 'grant grant' },
  ],
  'user sign-out, revoke --user, user set-password': [
    ({ user }) => revoker.changeUser(user.id, endSignIns, reason),
    thePerson,
  ],
  'user disable': [({ user }) => revoker.changeUser(user.id, (found) => disable(found, 1), reason), thePerson],
  'user delete': [({ user }) => revoker.deleteUser(user.id, reason), { ...thePerson, epochs: 'user gone, client 0/0' }],
  'user revoke-role': [
    ({ user }) => revoker.changeUser(user.id, (found) => revokeRole(found, 'clerk'), reason),
    { ...nothing, accepted: '', epochs: 'user 1/0, client 0/0', feed: 'sub' },
  ],
  'client rotate-secret --revoke, revoke --client': [
    ({ shop }) => revoker.changeClient(shop.id, async (found) => endClientGrants(found), reason),
    theClient,
  ],
  'client disable': [
    ({ shop }) => revoker.changeClient(shop.id, async (found) => disableClient(found, 1), reason),
    theClient,
  ],
  'client disable, and enable': [
    async ({ shop }) => {
      await revoker.changeClient(shop.id, async (found) => disableClient(found, 1), reason);
      await revoker.changeClient(shop.id, async () => ({ disabledAt: null }), reason);
    },
    theClient,
  ],
};

/** What these end is in force when they answer; what is done elsewhere has to be read first. */
const here = ['/revoke', 'reuse', 'replay', 'sign-out'];

test('each act ends what the table of DESIGN says, and nothing else', async (t) => {
  for (const [name, [act, left]] of Object.entries(table)) {
    const person = await begin();
    await act(person);
    if (!here.some((beginning) => name.startsWith(beginning))) await issuer.app.refresh();
    t.same(await outcomeOf(person), left, name);
  }
});

test('keys revoke: what the key has signed is void, and grants stay that nobody can redeem', async (t) => {
  const person = await begin();
  const { kid } = decodeProtectedHeader(person.grants.online.access);
  await revoker.revokeKey(String(kid), scheduleOf(times), reason);
  await issuer.app.refresh();
  t.same(await outcomeOf(person), { ...nothing, grants: '', accepted: '', feed: 'kid' });
  const next = await begin();
  t.same(await outcomeOf(next), { ...nothing, feed: '' }, 'what the next key signs is good');
  const [{ until } = { until: 0 }] = await issuer.database.query<{ until: number }>(
    `SELECT extract(epoch FROM expires_at - now())::float8 AS until FROM revocation WHERE digest = $1`,
    [revocationDigest('kid', String(kid))],
  );
  t.ok(until > 30 * 86_400, 'as long as its row, and as a refresh token by it could live');
});

test('signed out everywhere and signed in again in the same second: the old is void, the new lives', async (t) => {
  const clock = createTestClock();
  const still = await startIssuer(t, { clock });
  await registerResource(still);
  const user = await registerUser(still);
  const app = await registerApp(still, { ...appValues, backchannelLogoutUri: null });
  const revoker = createRevoker({ database: still.database, now: clock.now, longestLife: () => 611 });
  const enter = async () => (await obtainTokens(still, app, { scope: 'openid' }, createBrowser(still))).json;
  const isGood = async ({ access_token, refresh_token }: Record<string, string>) => {
    const { status } = await get(still, '/userinfo', { authorization: `Bearer ${access_token}` });
    const form = { grant_type: 'refresh_token', refresh_token: String(refresh_token) };
    return [status, (await post(still, '/token', form, { authorization: app.basic })).status];
  };
  const acts: Record<string, () => Promise<unknown>> = {
    'a person': () => revoker.changeUser(user.id, endSignIns, 'test'),
    'a client': () => revoker.changeClient(app.id, async (client) => endClientGrants(client), 'test'),
  };
  for (const [whose, act] of Object.entries(acts)) {
    const old = await enter();
    await act();
    await still.app.refresh();
    const renewed = await enter();
    t.equal(decodeJwt(old.access_token).iat, decodeJwt(renewed.access_token).iat, 'no clock tells them apart');
    t.same(
      [await isGood(old), await isGood(renewed)],
      [
        [401, 400],
        [200, 200],
      ],
      whose,
    );
  }
});
