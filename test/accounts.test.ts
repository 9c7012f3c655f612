import fc from 'fast-check';
import { type Test, test } from 'tap';
import { newId } from '../src/crypto/handle.ts';
import { createPasswords, hashingLimits, type Passwords } from '../src/crypto/password.ts';
import { createAccounts } from '../src/login/accounts.ts';
import type { Attempt } from '../src/login/attempts.ts';
import { foldEmail, type User } from '../src/protocol/user.ts';
import { openDatabase } from '../src/store/database.ts';
import { addUser, findUserToSignIn, renewPasswordHash } from '../src/store/user.ts';
import { freshDatabase } from './support/database.ts';

const now = () => Date.now() / 1000;

/** Somebody who has not tried before. */
const nowhere = { ip: null, address: undefined, network: undefined };
const anyone = (): Attempt => ({ whence: nowhere, knownBrowser: newId('browser') });

const passwords = createPasswords(hashingLimits(2));

const password = 'correct horse';
/** Stands for the hash of another password. */
const changed = '$argon2id$changed';
/** The same password under weaker parameters. */
const weakHash = '$argon2id$v=19$m=64,t=3,p=2$c29tZXNhbHRzb21lc2FsdA$JihI5cU0dA9i7vaff50sicUfQvt0Ynt/Aa7xY0wdEGo';

async function startAccounts(t: Test, hashing: Partial<Passwords> = {}) {
  const { url } = await freshDatabase(t);
  const statements: string[] = [];
  const hashes: string[] = [];
  const database = openDatabase(url, { onStatement: (text) => statements.push(text) });
  t.teardown(() => database.close());
  const counted: Passwords = {
    ...passwords,
    ...hashing,
    verify(...given) {
      hashes.push('verify');
      return (hashing.verify ?? passwords.verify)(...given);
    },
    hash(...given) {
      hashes.push('hash');
      return (hashing.hash ?? passwords.hash)(...given);
    },
  };
  const accounts = createAccounts({ database, passwords: counted, now });
  const add = async (email: string, values: Partial<User> = {}, hash?: string) => {
    const user: User = {
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
    await addUser(database, user, hash ?? (await passwords.hash(password)));
    return user;
  };
  const kept = async (email: string) => (await findUserToSignIn(database, email, [])).found?.passwordHash;
  return { database, accounts, add, kept, statements, hashes };
}

test('a person is known by address and password, however the address is written', async (t) => {
  const { accounts, add } = await startAccounts(t);
  const ada = await add('ada@example.com', { name: 'Ada', roles: ['admin'], epoch: 3, grantEpoch: 2 });
  t.same(await accounts.authenticate('ada@example.com', password, anyone()), ada);
  t.same(await accounts.authenticate('Ada@Example.COM', password, anyone()), ada);
});

test('the password hash does not come along', async (t) => {
  const { accounts, add, kept } = await startAccounts(t);
  await add('ada@example.com');
  const user = await accounts.authenticate('ada@example.com', password, anyone());
  t.match(user, { email: 'ada@example.com' });
  t.notMatch(JSON.stringify(user), (await kept('ada@example.com')) ?? 'argon2');
});

test('unknown, wrong and disabled get one answer, for two statements and one hash each', async (t) => {
  const { accounts, add, statements, hashes } = await startAccounts(t);
  await add('ada@example.com');
  await add('gone@example.com', { disabledAt: 1_800_000_000 });
  await add('old@example.com', { disabledAt: 1_800_000_000 }, weakHash);
  for (const [email, given] of [
    ['nobody@example.com', password],
    ['ada@example.com', 'wrong horse'],
    ['gone@example.com', password],
    ['gone@example.com', 'wrong horse'],
    ['old@example.com', password],
  ] as const) {
    statements.length = 0;
    hashes.length = 0;
    t.equal(await accounts.authenticate(email, given, anyone()), undefined, `${email} ${given}`);
    t.equal(statements.length, 2, 'looked for, and counted');
    t.same(hashes, ['verify'], 'one hash');
  }
});

test('the time does not tell whether there is such a user', async (t) => {
  const { accounts, add } = await startAccounts(t);
  await add('ada@example.com');
  await add('gone@example.com', { disabledAt: 1_800_000_000 });
  const attempts = [
    ['nobody@example.com', password],
    ['ada@example.com', 'wrong horse'],
    ['gone@example.com', password],
  ] as const;
  const times = attempts.map((): number[] => []);
  for (let round = 0; round < 12; round += 1) {
    for (const [at, [email, given]] of attempts.entries()) {
      const begun = performance.now();
      await accounts.authenticate(email, given, anyone());
      times[at]?.push(performance.now() - begun);
    }
  }
  const medians = times.map((all) => all.sort((a, b) => a - b)[6] ?? 0);
  const [least, most] = [Math.min(...medians), Math.max(...medians)];
  // Without a hash it would be twenty times as quick; a busy machine alone stays well below twice.
  t.ok(most < 2 * least, `unknown, wrong, disabled: ${medians.map((ms) => ms.toFixed(1)).join(', ')} ms`);
});

test('what cannot be an address is nobody, after the same work', async (t) => {
  const { accounts, statements, hashes } = await startAccounts(t);
  for (const email of ['', 'ada', 'ada@example.com\0', '\ud800@example.com', `${'x'.repeat(65_000)}@example.com`]) {
    t.equal(await accounts.authenticate(email, password, anyone()), undefined);
  }
  t.equal(statements.length, 10, 'looked for, and counted as a failure');
  t.equal(hashes.length, 5);
});

test('any text for a password is an answer', async (t) => {
  const { accounts, add } = await startAccounts(t);
  await add('ada@example.com');
  for (const given of ['', '\0', '\ud800', 'x'.repeat(65_000), '𝒸orrect horse ']) {
    t.equal(await accounts.authenticate('ada@example.com', given, anyone()), undefined, given.slice(0, 20));
  }
});

test('a hash of older parameters is renewed at sign-in, once, and ends nothing', async (t) => {
  const { accounts, add, kept, statements } = await startAccounts(t);
  const ada = await add('ada@example.com', { epoch: 1, grantEpoch: 1 }, weakHash);
  t.equal(await accounts.authenticate('ada@example.com', 'wrong horse', anyone()), undefined);
  t.equal(await kept('ada@example.com'), weakHash, 'not by a wrong password');
  statements.length = 0;
  t.same(await accounts.authenticate('ada@example.com', password, anyone()), ada);
  t.equal(statements.length, 2);
  const renewed = await kept('ada@example.com');
  t.match(renewed, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  t.same(
    await accounts.authenticate('ada@example.com', password, anyone()),
    ada,
    'it is the same password and the same epochs',
  );
  t.equal(await kept('ada@example.com'), renewed);
});

test('a password that is changed meanwhile is never overwritten by a renewed hash', async (t) => {
  const { database, accounts, add, kept } = await startAccounts(t, {
    async hash(text) {
      await renewPasswordHash(database, id, weakHash, changed);
      return passwords.hash(text);
    },
  });
  const { id } = await add('ada@example.com', {}, weakHash);
  t.match(await accounts.authenticate('ada@example.com', password, anyone()), { id });
  t.equal(await kept('ada@example.com'), changed);
});

test('when too many sign in, all are asked to come back, whoever they are', async (t) => {
  const full = createPasswords({ concurrency: 0, waiting: 0, patience: 2 });
  const { accounts, add } = await startAccounts(t, { verify: full.verify });
  await add('ada@example.com');
  for (const email of ['ada@example.com', 'nobody@example.com', 'no address']) {
    await t.rejects(
      accounts.authenticate(email, password, anyone()),
      { code: 'temporarily_unavailable', retryAfter: 2 },
      email,
    );
  }
});

test('nobody is kept out because there is no room to renew their hash', async (t) => {
  const full = createPasswords({ concurrency: 0, waiting: 0, patience: 2 });
  const { accounts, add, kept } = await startAccounts(t, { hash: full.hash });
  const ada = await add('ada@example.com', {}, weakHash);
  t.same(await accounts.authenticate('ada@example.com', password, anyone()), ada);
  t.equal(await kept('ada@example.com'), weakHash);
});

test('an address has one spelling, and what is none is told apart', async (t) => {
  for (const [text, folded] of [
    ['ada@example.com', 'ada@example.com'],
    ['Ada.Lovelace+Notes@Example.COM', 'ada.lovelace+notes@example.com'],
    ['JOSE\u0301@example.com', 'josé@example.com'],
    ['JOSÉ@BÜCHER.example', 'josé@bücher.example'],
    ["o'hara@example.com", "o'hara@example.com"],
    ['root@localhost', 'root@localhost'],
    [`${'x'.repeat(64)}@example.com`, `${'x'.repeat(64)}@example.com`],
  ] as const) {
    t.equal(foldEmail(text), folded, text);
  }
  for (const text of [
    '',
    '@',
    'ada',
    'ada@',
    '@example.com',
    'ada@example@com',
    'ada lovelace@example.com',
    ' ada@example.com',
    'ada@example.com\n',
    'ada\u200b@example.com',
    'ada\u202e@example.com',
    'ada@exam ple.com',
    'ada@.example.com',
    'ada@example..com',
    'ada@example.com.',
    'ada@-example.com',
    'ada@[127.0.0.1]',
    'Ada <ada@example.com>',
    'ada@example.com,eve@example.com',
    '"ada"@example.com',
    `${'x'.repeat(65)}@example.com`,
    `ada@${'x'.repeat(64)}.com`,
    `ada@${'xx.'.repeat(84)}com`,
  ]) {
    t.equal(foldEmail(text), undefined, JSON.stringify(text));
  }
});

test('folding an address again changes nothing', async (t) => {
  const part = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
  const property = fc.property(part, part, (local, domain) => {
    const folded = foldEmail(`${local}@${domain}`);
    return folded === undefined || foldEmail(folded) === folded;
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 1000 }));
});
