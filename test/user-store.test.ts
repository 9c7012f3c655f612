import { type Test, test } from 'tap';
import { newId } from '../src/crypto/handle.ts';
import { disable, endSignIns, grantRole, revokeRole, type User } from '../src/protocol/user.ts';
import { changing } from '../src/store/change.ts';
import { saveConsent } from '../src/store/consent.ts';
import { type Database, openDatabase } from '../src/store/database.ts';
import { addGrant } from '../src/store/grant.ts';
import { addRole, listRoles } from '../src/store/role.ts';
import { findSession, saveSession } from '../src/store/session.ts';
import {
  addUser,
  deleteUser,
  findUser,
  findUserByEmail,
  findUserToSignIn,
  listUsers,
  updateUser,
} from '../src/store/user.ts';
import { freshDatabase } from './support/database.ts';

const now = 1_800_000_000;
const hash = '$argon2id$v=19$m=64,t=3,p=2$c29tZXNhbHRzb21lc2FsdA$JihI5cU0dA9i7vaff50sicUfQvt0Ynt/Aa7xY0wdEGo';

async function openFresh(t: Test): Promise<Database> {
  const { url } = await freshDatabase(t);
  const database = openDatabase(url);
  t.teardown(() => database.close());
  return database;
}

function userOf(email: string, values: Partial<User> = {}): User {
  return {
    id: newId('user'),
    email,
    emailVerified: false,
    name: null,
    roles: [],
    epoch: 0,
    grantEpoch: 0,
    disabledAt: null,
    ...values,
  };
}

test('a user is found by id and by address, as it was added', async (t) => {
  const database = await openFresh(t);
  const ada = userOf('ada@example.com', { name: 'Ada', roles: ['admin'], emailVerified: true, disabledAt: now });
  t.equal(await addUser(database, ada, hash), true);
  t.same(await findUser(database, ada.id), ada);
  t.same(await findUserByEmail(database, ada.email), ada);
  t.same((await findUserToSignIn(database, ada.email, [])).found, { user: ada, passwordHash: hash });
  t.equal(await findUser(database, 'user_nobody'), undefined);
  t.equal(await findUserByEmail(database, 'nobody@example.com'), undefined);
});

test('an address belongs to one user, also when many ask for it at once', async (t) => {
  const database = await openFresh(t);
  const users = Array.from({ length: 8 }, () => userOf('ada@example.com'));
  const added = await Promise.all(users.map((user) => addUser(database, user, hash)));
  t.equal(added.filter(Boolean).length, 1);
  t.equal((await findUserByEmail(database, 'ada@example.com'))?.id, users[added.indexOf(true)]?.id);
});

test('users are listed by address, a page at a time', async (t) => {
  const database = await openFresh(t);
  const emails = ['a@example.com', 'b.a@example.com', 'b@example.com', 'ba@example.com', 'c@example.com'];
  for (const email of [...emails].reverse()) await addUser(database, userOf(email), hash);
  const listed: string[] = [];
  for (let page: User[] | undefined; page === undefined || page.length > 0; ) {
    page = await listUsers(database, listed.at(-1) ?? '', 2);
    t.ok(page.length <= 2);
    listed.push(...page.map(({ email }) => email));
  }
  t.same([...listed].sort(), [...emails].sort(), 'each once, none left out');
});

/** DESIGN §3.5: what each act does to a user at epoch 4 whose grants were last ended at 2. */
const before = userOf('ada@example.com', { roles: ['admin', 'clerk'], epoch: 4, grantEpoch: 2 });
const acts: [string, (user: User) => object, Partial<User>][] = [
  ['sign-out', endSignIns, { epoch: 5, grantEpoch: 5 }],
  ['disable', (user) => disable(user, now), { epoch: 5, grantEpoch: 5, disabledAt: now }],
  ['enable', () => ({ disabledAt: null }), {}],
  ['set-password', (user) => ({ ...endSignIns(user), passwordHash: `${hash}x` }), { epoch: 5, grantEpoch: 5 }],
  ['grant a role', (user) => grantRole(user, 'auditor'), { roles: ['admin', 'clerk', 'auditor'] }],
  ['grant a role they have', (user) => grantRole(user, 'clerk'), {}],
  ['take a role away', (user) => revokeRole(user, 'admin'), { epoch: 5, roles: ['clerk'] }],
  ['take a role away that they do not have', (user) => revokeRole(user, 'auditor'), {}],
  ['rename', () => ({ name: 'Ada' }), { name: 'Ada' }],
];

test('acts raise epochs as the table says', async (t) => {
  const database = await openFresh(t);
  for (const [act, decide, expected] of acts) {
    const user = { ...before, id: newId('user'), email: `${act.replaceAll(' ', '-')}@example.com` };
    await addUser(database, user, hash);
    const after = { ...user, ...expected };
    t.same(await changing(database, (tx) => updateUser(tx, user.id, decide)), { before: user, after }, act);
    t.same(await findUser(database, user.id), after, act);
  }
});

test('to disable a disabled user ends nothing again', async (t) => {
  const disabled = userOf('ada@example.com', { epoch: 3, grantEpoch: 3, disabledAt: now });
  t.same(disable(disabled, now + 60), {});
});

test('of acts at the same time none is lost', async (t) => {
  const database = await openFresh(t);
  const user = userOf('ada@example.com');
  await addUser(database, user, hash);
  const together = ['one', 'two', 'three', 'four', 'five'].map((role) =>
    changing(database, (tx) =>
      updateUser(tx, user.id, (found) => ({ ...endSignIns(found), ...grantRole(found, role) })),
    ),
  );
  await Promise.all(together);
  const after = await findUser(database, user.id);
  t.match(after, { epoch: 5, grantEpoch: 5 });
  t.equal(after?.roles.length, 5);
});

test('an act on nobody changes nothing', async (t) => {
  const database = await openFresh(t);
  const decide = () => {
    t.fail('there is nobody to decide about');
    return {};
  };
  t.equal(await changing(database, (tx) => updateUser(tx, 'user_nobody', decide)), undefined);
  t.equal(await changing(database, (tx) => deleteUser(tx, 'user_nobody')), undefined);
});

/** Signs a user in, and lets a client have a grant. */
async function signIn(database: Database, user: User) {
  const session = {
    id: newId('session'),
    secretDigest: 'digest',
    userId: user.id,
    userEpoch: user.grantEpoch,
    authTime: now,
    amr: ['pwd'],
    expiresAt: now + 3600,
    ip: null,
    userAgent: null,
  };
  await saveSession(database, session, now);
  const grant = {
    id: newId('grant'),
    userId: user.id,
    clientId: 'client_web',
    sessionId: session.id,
    sid: session.id,
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
  };
  await addGrant(database, grant, now);
  await saveConsent(database, user.id, 'client_web', ['openid'], null, now);
  return { isLive: async () => (await findSession(database, session.id, 'digest', now, 3600)) !== undefined };
}

test('whoever ends the sign-ins ends each session; a role that is taken away ends none', async (t) => {
  const database = await openFresh(t);
  for (const [act, ends] of [
    ['sign-out', true],
    ['disable', true],
    ['set-password', true],
    ['take a role away', false],
    ['rename', false],
  ] as const) {
    const user = { ...before, id: newId('user'), email: `${act.replaceAll(' ', '-')}@example.com` };
    await addUser(database, user, hash);
    const session = await signIn(database, user);
    t.equal(await session.isLive(), true);
    const decide = acts.find(([name]) => name === act)?.[1];
    if (decide === undefined) throw new Error(act);
    await changing(database, (tx) => updateUser(tx, user.id, decide));
    t.equal(await session.isLive(), !ends, act);
  }
});

test('who is enabled again has to sign in anew', async (t) => {
  const database = await openFresh(t);
  const user = userOf('ada@example.com');
  await addUser(database, user, hash);
  const session = await signIn(database, user);
  await changing(database, (tx) => updateUser(tx, user.id, (found) => disable(found, now)));
  await changing(database, (tx) => updateUser(tx, user.id, () => ({ disabledAt: null })));
  t.equal(await session.isLive(), false);
});

test('a deleted user leaves nothing behind, and others lose nothing', async (t) => {
  const database = await openFresh(t);
  const [ada, eve] = [userOf('ada@example.com', { epoch: 2 }), userOf('eve@example.com')];
  const sessions = [];
  for (const user of [ada, eve]) {
    await addUser(database, user, hash);
    sessions.push(await signIn(database, user));
  }
  const deleted = await changing(database, (tx) => deleteUser(tx, ada.id));
  t.same(deleted, { user: ada, sessions: 1, grants: 1, consents: 1 });
  t.equal(await findUser(database, ada.id), undefined);
  t.same(await Promise.all(sessions.map(({ isLive }) => isLive())), [false, true]);
  for (const table of ['session', 'grant', 'consent']) {
    t.same(await database.query(`SELECT user_id FROM "${table}"`), [{ user_id: eve.id }], table);
  }
  t.equal(await addUser(database, userOf('ada@example.com'), hash), true, 'the address is free again');
});

test('a role is added once, and instances are told', async (t) => {
  const database = await openFresh(t);
  t.equal(await addRole(database, { name: 'clerk', permissions: ['orders:read', 'orders:write'] }), true);
  t.equal(await addRole(database, { name: 'admin', permissions: [] }), true);
  t.equal(await addRole(database, { name: 'clerk', permissions: ['everything'] }), false);
  t.same(await listRoles(database), [
    { name: 'admin', permissions: [] },
    { name: 'clerk', permissions: ['orders:read', 'orders:write'] },
  ]);
  t.same(await database.query('SELECT kind, name FROM change ORDER BY id'), [
    { kind: 'role', name: 'clerk' },
    { kind: 'role', name: 'admin' },
  ]);
});
