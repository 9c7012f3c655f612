import { t as file, type Test, test } from 'tap';
import { newId } from '../src/crypto/handle.ts';
import { createPasswords, hashingLimits } from '../src/crypto/password.ts';
import { createAccounts } from '../src/login/accounts.ts';
import type { Attempt } from '../src/login/attempts.ts';
import { openDatabase } from '../src/store/database.ts';
import { freshDatabase } from './support/database.ts';
import { type Ended, keyturnWithInput } from './support/process.ts';
import { execute } from './support/run.ts';

const now = () => Date.now() / 1000;

/** Somebody who has not tried before. */
const nowhere = { ip: null, address: undefined, network: undefined };
const anyone = (): Attempt => ({ whence: nowhere, knownBrowser: newId('browser') });

const { url } = await freshDatabase(file);
const env = { DATABASE_URL: url };
const database = openDatabase(url, { maxConnections: 2 });
file.teardown(() => database.close());
const accounts = createAccounts({ database, passwords: createPasswords(hashingLimits(2)), now });

const password = 'correct horse';

/** Runs a command that has to succeed, and reads its JSON. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
async function done(input: string, ...args: string[]): Promise<any> {
  const { code, stdout, stderr } = await keyturnWithInput(input, env, ...args, '--json');
  if (code !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout);
}

async function run(input: string, ...args: string[]): Promise<Ended> {
  return keyturnWithInput(input, env, ...args);
}

async function contents(): Promise<unknown> {
  return Promise.all(['user', 'role', 'change'].map((table) => execute(url, `SELECT * FROM "${table}" ORDER BY 1`)));
}

await done('', 'role', 'add', 'clerk', '--permission', 'orders:read', '--permission', 'orders:write');
await done('', 'role', 'add', 'admin');

test('a person is added with the password on standard input, and can sign in', async (t) => {
  const args = ['user', 'add', 'Ada@Example.com', '--password-stdin', '--name', 'Ada Lovelace', '--role', 'clerk'];
  const { sub, ...added } = await done(`${password}\n`, ...args);
  t.match(sub, /^user_[a-z2-9]{16}$/);
  t.same(added, {
    email: 'ada@example.com',
    email_verified: false,
    name: 'Ada Lovelace',
    roles: ['clerk'],
    disabled_at: null,
  });
  t.match(await accounts.authenticate('ada@example.com', password, anyone()), { id: sub, roles: ['clerk'] });
});

test('one line break belongs to the pipe, all else to the password', async (t) => {
  await done('  пароль на лето 🐎  \r\n', 'user', 'add', 'pipe@example.com', '--password-stdin');
  t.match(await accounts.authenticate('pipe@example.com', '  пароль на лето 🐎  ', anyone()), {
    email: 'pipe@example.com',
  });
});

test('each act does what it says, and says what it did', async (t) => {
  const email = 'grace@example.com';
  const { sub } = await done(password, 'user', 'add', email, '--password-stdin');
  const signsIn = async (given = password) => (await accounts.authenticate(email, given, anyone())) !== undefined;
  const row = async () =>
    (await execute(url, `SELECT name, roles, epoch, grant_epoch FROM "user" WHERE id = '${sub}'`))[0];

  t.match(await done('', 'user', 'update', email, '--name', 'Grace'), { sub, name: 'Grace' });
  t.match(await done('', 'user', 'grant-role', email, 'admin'), { roles: ['admin'] });
  t.match((await run('', 'user', 'grant-role', email, 'admin')).stdout, 'They had it before; nothing was done.');
  t.same(await row(), { name: 'Grace', roles: ['admin'], epoch: 0, grant_epoch: 0 });

  t.match(await done('', 'user', 'revoke-role', email, 'admin'), { roles: [] });
  t.match((await run('', 'user', 'revoke-role', email, 'admin')).stdout, 'They did not have it; nothing was done.');
  t.same(await row(), { name: 'Grace', roles: [], epoch: 1, grant_epoch: 0 });

  t.match((await run('', 'user', 'sign-out', email)).stdout, 'All their sessions and grants have ended.');
  t.match(await row(), { epoch: 2, grant_epoch: 2 });

  await done('tabula rasa\n', 'user', 'set-password', email, '--password-stdin');
  t.match(await row(), { epoch: 3, grant_epoch: 3 });
  t.same([await signsIn(), await signsIn('tabula rasa')], [false, true], 'the new password alone is good');

  const { disabled_at } = await done('', 'user', 'disable', email);
  t.ok(Math.abs(disabled_at - Date.now() / 1000) < 60);
  t.match(await row(), { epoch: 4, grant_epoch: 4 });
  t.equal(await signsIn('tabula rasa'), false);
  t.match(await done('', 'user', 'enable', email), { disabled_at: null });
  t.equal(await signsIn('tabula rasa'), true);

  const { stdout } = await run('', 'user', 'delete', email);
  t.equal(
    stdout,
    `${email} (${sub}) is deleted, with sessions: 0, grants: 0, consents: 0.\nNobody will have this sub again.\n`,
  );
  t.equal(await row(), undefined);
});

test('people and roles are listed', async (t) => {
  const users = await done('', 'user', 'list');
  t.match(users[0], { email: 'ada@example.com', name: 'Ada Lovelace', roles: ['clerk'] });
  t.match((await run('', 'user', 'list')).stdout, /^SUB +EMAIL +NAME +ROLES +STATE\nuser_\w+ +ada@example\.com +Ada /);
  t.same(await done('', 'role', 'list'), [
    { name: 'admin', permissions: [] },
    { name: 'clerk', permissions: ['orders:read', 'orders:write'] },
  ]);
  t.match((await run('', 'role', 'list')).stdout, /clerk +orders:read orders:write\n/);
});

/** Each command is refused with one line that says this, exit code 2, and nothing is written. */
async function refused(t: Test, cases: [input: string, args: string[], says: string][]): Promise<void> {
  const before = await contents();
  const waiting = [...cases];
  async function runNext(): Promise<void> {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [input, args, says] = next;
      const { code, stdout, stderr } = await run(input, ...args);
      const shown = `${args.join(' ')} < ${JSON.stringify(input.slice(0, 30))}`;
      t.equal(code, 2, shown);
      t.equal(stdout, '', shown);
      t.match(stderr, /^keyturn: [^\n]+\n$/, shown);
      t.match(stderr, says, shown);
    }
  }
  await Promise.all([runNext(), runNext()]);
  t.same(await contents(), before, 'nothing is written');
}

const add = (email: string, ...options: string[]) => ['user', 'add', email, '--password-stdin', ...options];
const setPassword = ['user', 'set-password', 'ada@example.com', '--password-stdin'];

test('a password that cannot be chosen is refused with its reason', (t) =>
  refused(t, [
    ['', add('new@example.com'), 'standard input is empty'],
    ['seven77\n', add('new@example.com'), 'the password has fewer than 8 characters'],
    ['x9'.repeat(100_000), add('new@example.com'), 'longer than any password'],
    ['correct\nhorse\n', add('new@example.com'), 'a line break or another character that cannot be typed'],
    ['Password1!\n', add('new@example.com'), 'one of those that are guessed first'],
    ['newton@example', add('newton@example.com'), 'little more than the e-mail address or the name'],
    ['Ada.Lovelace.1', setPassword, 'little more than the e-mail address or the name'],
    [password, ['user', 'add', 'new@example.com'], "required option '--password-stdin' not specified"],
    [password, ['user', 'set-password', 'ada@example.com'], "required option '--password-stdin' not specified"],
  ]));

test('what is not there, is there already or is malformed is refused', (t) =>
  refused(t, [
    [password, add('ADA@example.com'), 'ada@example.com is there already'],
    [password, add('new@example.com', '--role', 'nobody'), 'there is no role nobody'],
    [password, add('new@example.com', '--role', 'cl\u001berk'), 'printable ASCII'],
    [password, add('new@example.com', '--name', 'N\u001bew'), 'without control characters'],
    [password, add('no address'), 'It must be an e-mail address'],
    [password, add('new@example.com\n'), 'It must be an e-mail address'],
    [
      password,
      ['user', 'set-password', 'nobody@example.com', '--password-stdin'],
      'there is no user nobody@example.com',
    ],
    ...['delete', 'sign-out'].map((act): [string, string[], string] => [
      '',
      ['user', act, 'nobody@example.com'],
      'there is no user nobody@example.com',
    ]),
    ['', ['user', 'update', 'ada@example.com'], 'nothing to change'],
    ['', ['user', 'grant-role', 'ada@example.com', 'nobody'], 'there is no role nobody'],
    ['', ['user', 'revoke-role', 'ada@example.com', 'nobody'], 'there is no role nobody'],
    ['', ['user', 'grant-role', 'nobody@example.com', 'clerk'], 'there is no user'],
    ['', ['user', 'grant-role', 'ada@example.com'], "missing required argument 'role'"],
    ['', ['role', 'add', 'clerk', '--permission', 'everything'], 'the role clerk is there already'],
    ['', ['role', 'add', 'two words'], 'printable ASCII'],
  ]));

test('a password never shows, wherever it was typed', async (t) => {
  const secret = 'mauve-otter-91';
  for (const [input, args] of [
    [secret, add('otter@example.com')],
    [secret, ['user', 'set-password', 'otter@example.com', '--password-stdin', '--json']],
    [secret, add('otter@example.com')],
    [secret, add('new@example.com', '--role', 'nobody')],
    [`${secret}\n${secret}`, add('new@example.com')],
    ['', ['user', 'add', 'new@example.com', secret, '--password-stdin']],
    ['', ['user', 'add', 'new@example.com', `--password=${secret}`]],
    ['', ['user', 'add', 'new@example.com', `--password-stdin=${secret}`]],
    ['', ['user', 'add', 'new@example.com', '--password', secret]],
    ['', ['user', 'add', 'new@example.com', `-p${secret}`]],
    ['', ['user', 'set-password', 'otter@example.com', `--password='${secret}'\n${secret}`]],
  ] as const) {
    const { stdout, stderr } = await run(input, ...args);
    t.notMatch(`${stdout}${stderr}`, secret, args.join(' ').replaceAll(secret, '***'));
  }
  t.match(await accounts.authenticate('otter@example.com', secret, anyone()), { email: 'otter@example.com' });
});
