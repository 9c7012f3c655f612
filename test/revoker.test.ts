import { revocationDigest } from '@keyturn/verifier/denylist';
import { type Test, test } from 'tap';
import { newId } from '../src/crypto/handle.ts';
import { clientDefaults } from '../src/protocol/client.ts';
import { disable, endSignIns, revokeRole, type User } from '../src/protocol/user.ts';
import { locks, takeLock } from '../src/store/change.ts';
import { addClient } from '../src/store/client.ts';
import { findConsent, saveConsent } from '../src/store/consent.ts';
import { openDatabase } from '../src/store/database.ts';
import { addGrant } from '../src/store/grant.ts';
import { findSession, saveSession } from '../src/store/session.ts';
import { addUser, findUser } from '../src/store/user.ts';
import { createRevoker } from '../src/tokens/revocation.ts';
import { freshDatabase } from './support/database.ts';
import { eventually } from './support/process.ts';

const now = 1_800_000_000;
const hash = '$argon2id$v=19$m=64,t=3,p=2$c29tZXNhbHRzb21lc2FsdA$JihI5cU0dA9i7vaff50sicUfQvt0Ynt/Aa7xY0wdEGo';

async function start(t: Test) {
  const { url } = await freshDatabase(t);
  const database = openDatabase(url);
  t.teardown(() => database.close());
  const revoker = createRevoker({ database, now: () => now, longestLife: () => 611 });
  for (const id of ['client_web', 'client_mail']) {
    const backchannelLogoutUri = `https://${id.slice(7)}.example/logout`;
    await addClient(database, { ...clientDefaults, id, name: id, secretDigests: ['digest'], backchannelLogoutUri });
  }

  async function add(values: Partial<User> = {}): Promise<User> {
    const id = newId('user');
    const email = `${id}@example.org`;
    const user = { id, email, emailVerified: false, name: null, roles: [], epoch: 0, grantEpoch: 0, disabledAt: null };
    await addUser(database, { ...user, ...values }, hash);
    return { ...user, ...values };
  }

  async function signIn(user: User): Promise<string> {
    const id = newId('session');
    const times = { authTime: now, expiresAt: now + 3600 };
    const where = { ip: null, userAgent: null };
    const whose = { secretDigest: 'digest', userId: user.id, userEpoch: user.grantEpoch, amr: ['pwd'] };
    await saveSession(database, { id, ...whose, ...times, ...where }, now);
    return id;
  }

  const isLive = async (sessionId: string) => (await findSession(database, sessionId, 'digest', now, 60)) !== undefined;

  /** Lets a client have a grant from the session. Answers its id, undefined where it got none. */
  async function enter(user: User, sid: string, clientId = 'client_web', offline = false): Promise<string | undefined> {
    const id = newId('grant');
    const added = await addGrant(
      database,
      {
        id,
        userId: user.id,
        clientId,
        sessionId: offline ? null : sid,
        sid,
        scope: ['openid'],
        resources: [],
        authTime: now,
        amr: ['pwd'],
        userEpoch: user.grantEpoch,
        clientEpoch: 0,
        nonce: null,
        codeDigest: 'digest',
        codeChallenge: null,
        redirectUri: 'https://web.example/',
        codeExpiresAt: now + 60,
      },
      now,
    );
    return added ? id : undefined;
  }

  return {
    database,
    revoker,
    add,
    signIn,
    isLive,
    enter,
    voided: () => database.query('SELECT digest, epoch_below, reason FROM revocation ORDER BY id'),
    told: () => database.query('SELECT client_id, user_id, session_id FROM logout_delivery ORDER BY id'),
    ended: async (id: string) => (await database.prisma.grant.findUnique({ where: { id } }))?.revokedAt !== null,
  };
}

test('to end a session ends its grants, voids each, and names the clients to tell', async (t) => {
  const { revoker, add, signIn, isLive, enter, voided, told, ended } = await start(t);
  const user = await add();
  const sid = await signIn(user);
  const online = (await enter(user, sid)) as string;
  const again = (await enter(user, sid)) as string;
  const offline = (await enter(user, sid, 'client_mail', true)) as string;
  const { grants, logoutId } = await revoker.endSession(sid, 'sign-out', user.id);
  t.same([...grants].sort(), [online, again].sort());
  t.match(logoutId, /^logout_/);
  t.equal(await isLive(sid), false);
  t.same([await ended(online), await ended(again), await ended(offline)], [true, true, false]);
  const digests = [online, again].map((id) => revocationDigest('grant', id)).sort();
  t.same((await voided()).map(({ digest }) => digest).sort(), digests);
  const row = { user_id: user.id, session_id: sid };
  t.same(await told(), [
    { client_id: 'client_mail', ...row },
    { client_id: 'client_web', ...row },
  ]);
});

test('nobody ends the session of another person', async (t) => {
  const { revoker, add, signIn, isLive, enter, voided, told, ended } = await start(t);
  const [ada, eve] = [await add(), await add()];
  const sid = await signIn(ada);
  const grant = (await enter(ada, sid)) as string;
  t.same(await revoker.endSession(sid, 'sign-out', eve.id), { grants: [], logoutId: undefined });
  t.equal(await isLive(sid), true);
  t.equal(await ended(grant), false);
  t.same([await voided(), await told()], [[], []]);
});

test('many who end a session at once write it down once', async (t) => {
  const { revoker, add, signIn, enter, voided, told } = await start(t);
  const user = await add();
  const sid = await signIn(user);
  await enter(user, sid);
  await Promise.all(Array.from({ length: 8 }, () => revoker.endSession(sid, 'sign-out')));
  t.equal((await voided()).length, 1);
  t.equal((await told()).length, 1);
});

test('of a sign-out and a client that comes in at the same time, whichever is second sees the other', async (t) => {
  const { revoker, add, signIn, enter, told, ended } = await start(t);
  const user = await add();
  let [before, after] = [0, 0];
  for (let round = 0; round < 40; round += 1) {
    const sid = await signIn(user);
    const [grant] = await Promise.all([enter(user, sid), revoker.endSession(sid, 'sign-out')]);
    const clients = (await told()).filter(({ session_id }) => session_id === sid);
    if (grant === undefined) after += 1;
    else before += 1;
    t.equal(clients.length, grant === undefined ? 0 : 1, 'told, if it came in at all');
    if (grant !== undefined) t.equal(await ended(grant), true, 'and ended');
  }
  t.comment(`the client came in first ${before} times, too late ${after} times`);
});

test('a session that has ended lets no client in', async (t) => {
  const { database, revoker, add, signIn, enter } = await start(t);
  const user = await add();
  const sid = await signIn(user);
  await revoker.endSession(sid, 'sign-out');
  t.equal(await enter(user, sid), undefined);
  t.equal(await enter(user, sid, 'client_web', true), undefined, 'not even for offline access');
  t.equal(await database.prisma.grant.count(), 0);
});

test('what ends a user is one denylist entry with their new epoch', async (t) => {
  const { revoker, add, signIn, isLive, enter, voided, told } = await start(t);
  const acts: [string, (user: User) => object][] = [
    ['user sign-out', endSignIns],
    ['user disable', (user) => disable(user, now)],
    ['password changed', (user) => ({ ...endSignIns(user), passwordHash: hash })],
  ];
  for (const [at, [act, decide]] of acts.entries()) {
    const user = await add({ epoch: 4, grantEpoch: 2 });
    const sid = await signIn(user);
    await enter(user, sid);
    await enter(user, sid, 'client_mail', true);
    await revoker.changeUser(user.id, decide, act);
    t.equal(await isLive(sid), false, act);
    t.same((await voided()).slice(at), [{ digest: revocationDigest('sub', user.id), epoch_below: 5, reason: act }]);
    const row = { user_id: user.id, session_id: null };
    const clients = (await told()).filter(({ user_id }) => user_id === user.id);
    t.same(clients, [
      { client_id: 'client_mail', ...row },
      { client_id: 'client_web', ...row },
    ]);
  }
});

test('an act that ends nothing writes nothing', async (t) => {
  const { revoker, add, signIn, isLive, enter, voided, told } = await start(t);
  const user = await add({ disabledAt: null, roles: ['clerk'] });
  const sid = await signIn(user);
  await enter(user, sid);
  await revoker.changeUser(user.id, () => ({ name: 'Ada' }), 'rename');
  await revoker.changeUser(user.id, (found) => revokeRole(found, 'admin'), 'user revoke-role');
  t.equal(await revoker.changeUser('user_nobody', endSignIns, 'user sign-out'), undefined);
  t.equal(await revoker.deleteUser('user_nobody', 'user delete'), undefined);
  t.same([await voided(), await told()], [[], []]);
  await revoker.changeUser(user.id, (found) => revokeRole(found, 'clerk'), 'user revoke-role');
  t.equal(await isLive(sid), true, 'a role that is taken away ends no session');
  t.match(await voided(), [{ epoch_below: 1 }], 'but what may carry it is void');
  t.same(await told(), []);
});

test('a deleted user is void for ever', async (t) => {
  const { database, revoker, add, signIn, enter, voided, told } = await start(t);
  const user = await add({ epoch: 2, grantEpoch: 1 });
  await enter(user, await signIn(user));
  t.match(await revoker.deleteUser(user.id, 'user delete'), { user: { id: user.id }, sessions: 1, grants: 1 });
  t.equal(await findUser(database, user.id), undefined);
  t.match(await voided(), [{ digest: revocationDigest('sub', user.id), epoch_below: 3 }]);
  t.match(await told(), [{ client_id: 'client_web', user_id: user.id, session_id: null }]);
});

test('what was ended before is not told of again', async (t) => {
  const { revoker, add, signIn, enter, told } = await start(t);
  const user = await add();
  await enter(user, await signIn(user));
  await revoker.changeUser(user.id, endSignIns, 'user sign-out');
  await revoker.changeUser(user.id, endSignIns, 'user sign-out');
  t.equal((await told()).length, 1);
});

test('if the clients cannot be written down, nothing has ended', async (t) => {
  const { database, revoker, add, signIn, isLive, enter, ended, voided } = await start(t);
  const user = await add();
  const sid = await signIn(user);
  const grant = (await enter(user, sid)) as string;
  await database.query('ALTER TABLE logout_delivery RENAME TO elsewhere');
  await t.rejects(revoker.endSession(sid, 'sign-out'));
  await t.rejects(revoker.changeUser(user.id, endSignIns, 'user sign-out'));
  t.equal(await isLive(sid), true);
  t.equal(await ended(grant), false);
  t.match(await findUser(database, user.id), { epoch: 0, grantEpoch: 0 });
  t.same(await voided(), []);
});

test('a consent that is withdrawn ends every grant of that client and that person', async (t) => {
  const { database, revoker, add, signIn, isLive, enter, ended } = await start(t);
  const [ada, eve] = [await add(), await add()];
  const [hers, his] = [await signIn(ada), await signIn(eve)];
  const online = (await enter(ada, hers)) as string;
  const offline = (await enter(ada, hers, 'client_web', true)) as string;
  const mail = (await enter(ada, hers, 'client_mail')) as string;
  const others = (await enter(eve, his)) as string;
  for (const user of [ada, eve]) {
    for (const id of ['client_web', 'client_mail']) await saveConsent(database, user.id, id, ['openid'], null, now);
  }
  const grants = await revoker.withdrawConsent(ada.id, 'client_web', 'consent withdrawn');
  t.same([...grants].sort(), [online, offline].sort());
  t.same([await ended(mail), await ended(others)], [false, false]);
  t.equal(await findConsent(database, ada.id, 'client_web'), undefined);
  t.ok(await findConsent(database, ada.id, 'client_mail'));
  t.ok(await findConsent(database, eve.id, 'client_web'));
  t.equal(await isLive(hers), true);
  t.same(await revoker.withdrawConsent(ada.id, 'client_web', 'consent withdrawn'), [], 'again is no error');
});

test('an entry outlives the tokens that were given out while its act waited for the others', async (t) => {
  const { database, add, voided } = await start(t);
  const user = await add();
  let later = now;
  const slow = createRevoker({ database, now: () => later, longestLife: () => 611 });
  let act: Promise<unknown> = Promise.resolve();
  await database.prisma.$transaction(async (tx) => {
    await takeLock(tx, locks.changeLog);
    act = slow.changeUser(user.id, endSignIns, 'user sign-out');
    const waiting = `SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
    await eventually(async () => (await database.query(waiting)).length > 0);
    later += 8;
  });
  await act;
  t.equal((await voided()).length, 1);
  const [row] = await database.query<{ expires_at: Date }>('SELECT expires_at FROM revocation');
  t.equal(Number(row?.expires_at) / 1000, now + 8 + 611);
});
