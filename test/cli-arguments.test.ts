import { t as file, type Test, test } from 'tap';
import {
  audienceArgument,
  describedScopeArgument,
  nameArgument,
  scopeArgument,
  secondsArgument,
} from '../scripts/cli/arguments.ts';
import { freshDatabase } from './support/database.ts';
import { keyturn } from './support/process.ts';
import { execute } from './support/run.ts';

const { url } = await freshDatabase(file);
const env = { DATABASE_URL: url };
const orders = 'https://orders.example';
await keyturn(env, 'resource', 'add', orders, '--scope', 'orders:read');
await keyturn(env, 'resource', 'add', 'https://stock.example', '--scope', 'stock:read');
const machine = ['--grant', 'client_credentials', '--audience', orders];
const added = await keyturn(env, 'client', 'add', 'billing', ...machine, '--json');
const { client_id: client } = JSON.parse(added.stdout);

const long = 'x'.repeat(100_000);
const before = await contents();

/** Everything that a command could have written. */
async function contents(): Promise<unknown> {
  const tables = ['issuer', 'signing_key', 'resource', 'client', 'change'];
  return Promise.all(tables.map((table) => execute(url, `SELECT * FROM ${table} ORDER BY 1`)));
}

/** Each command is refused with one harmless line that says this, exit code 2, and nothing written. */
async function refused(t: Test, cases: [args: string[], says: string | RegExp][]): Promise<void> {
  const waiting = [...cases];
  async function runNext(): Promise<void> {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [args, says] = next;
      const { code, stdout, stderr } = await keyturn(env, ...args);
      const shown = args.map((arg) => encodeURI(arg.slice(0, 60))).join(' ');
      t.equal(code, 2, shown);
      t.equal(stdout, '', shown);
      t.match(stderr, /^keyturn: [^\p{Cc}\p{Cf}]{1,700}\n$/u, shown);
      t.match(stderr, says, shown);
    }
  }
  await Promise.all([runNext(), runNext()]);
  t.same(await contents(), before, 'nothing is written');
}

test('a value is taken as it is meant, or refused', async (t) => {
  const ttl = secondsArgument(10, 86_400);
  const parsers: [parse: (text: string) => unknown, good: Record<string, unknown>, bad: string[]][] = [
    [
      audienceArgument,
      { 'https://a.example': 'https://a.example', 'urn:example:orders?x=1': 'urn:example:orders?x=1' },
      ['', '//a.example', 'https://', 'https://a.example/a b', 'https://ü.example', 'HTTPS://a.example', `urn:${long}`],
    ],
    [scopeArgument, { 'a:b/c.d~!': 'a:b/c.d~!' }, ['', ' a', 'a b', '"', '\\', 'ä', 'a\n', 'x'.repeat(129)]],
    [
      describedScopeArgument,
      { a: ['a', ''], 'a=b=c': ['a', 'b=c'], 'a=Größe 👍🏽': ['a', 'Größe 👍🏽'] },
      ['=', 'a=', 'a b=c', 'a= c', 'a=\u2028', 'a=\ud800', 'a=\u2067'],
    ],
    [
      nameArgument,
      { Søren: 'Søren', ['x'.repeat(200)]: 'x'.repeat(200) },
      ['', ' ', 'x ', 'x'.repeat(201), '\u0000', '\u0085'],
    ],
    [
      ttl,
      { 10: 10, 86400: 86_400 },
      ['', '-1', '9', '86401', '1e3', '60.5', '0x40', ' 60', '60s', '010', '１２０', long],
    ],
    [secondsArgument(0, 60), { 0: 0 }, ['-0', '00', 'NaN', 'Infinity']],
  ];
  for (const [parse, good, bad] of parsers) {
    for (const [text, value] of Object.entries(good)) t.same(parse(text), value);
    for (const text of bad)
      t.throws(
        () => parse(text),
        { code: 'commander.invalidArgument' },
        JSON.stringify(text.slice(0, 30)).replace(/[^\x20-\x7e]/g, '?'),
      );
  }
});

const add = ['resource', 'add'];
const addClient = ['client', 'add', 'shop', ...machine];

test('what is no command, or no flag of it, is refused', (t) =>
  refused(t, [
    [['bogus'], "unknown command 'bogus'"],
    [['clients'], '(Did you mean client?)'],
    [['client', 'remove', client], "unknown command 'remove'"],
    [['client', 'list', '--all'], "unknown option '--all'"],
    [['client', 'list', 'extra'], 'too many arguments'],
    [['--port', '3000', 'client', 'list'], "unknown option '--port'"],
    [[...add, orders, '--scopes', 'orders:read'], '(Did you mean --scope?)'],
    [add, "missing required argument 'audience-uri'"],
    [[...add, 'https://new.example', '--scope'], "option '--scope <scope>' argument missing"],
    [
      ['\u001b[31mred\u001b[0m\nkeyturn: all is well'],
      "unknown command '\\u{1b}[31mred\\u{1b}[0m keyturn: all is well'",
    ],
    [[long], "unknown command 'xxx"],
  ]));

test('a resource service that cannot be one is refused', (t) =>
  refused(t, [
    [[...add, ''], 'absolute URI'],
    [[...add, 'orders.example'], 'absolute URI'],
    [[...add, 'https://new.example/#part'], 'without a fragment'],
    [[...add, 'https://new.example/\n'], 'absolute URI'],
    [[...add, orders, '--scope', 'orders:read'], `${orders} is there already: change it with keyturn resource update`],
    [[...add, 'https://new.example', '--scope', ''], 'one scope token'],
    [[...add, 'https://new.example', '--scope', 'two words'], 'one scope token'],
    [[...add, 'https://new.example', '--scope', '=See it'], 'one scope token'],
    [[...add, 'https://new.example', '--scope', long], 'one scope token'],
    [[...add, 'https://new.example', '--scope', 'see=a\u202eb'], 'without control characters'],
    [[...add, 'https://new.example', '--scope', 'see=one', '--scope', 'see=two'], 'It is given twice.'],
    [
      [...add, 'https://new.example', ...Array.from({ length: 101 }, (_, i) => ['--scope', `s${i}`]).flat()],
      '100 at most',
    ],
    [[...add, 'https://new.example', '--alg', 'none'], 'Allowed: ES256, RS256, PS256, Ed25519'],
    [[...add, 'https://new.example', '--alg', 'ES256', '--alg', 'RS256'], 'Another value is given for it too.'],
    [[...add, 'https://new.example', '--access-ttl', '-1'], 'whole number of seconds from 10 to 86400'],
    [['resource', 'update', orders], 'nothing to change'],
    [
      ['resource', 'update', 'https://new.example', '--alg', 'RS256'],
      'there is no resource service https://new.example',
    ],
  ]));

test('a client that could never get a token is refused', (t) =>
  refused(t, [
    [['client', 'add', ...machine], "missing required argument 'name'"],
    [['client', 'add', '', ...machine], '1 to 200 characters'],
    [['client', 'add', 'sh\u0007op', ...machine], '1 to 200 characters'],
    [['client', 'add', 'shop'], 'a client needs a grant type: give --grant'],
    [['client', 'add', 'shop', '--grant', 'password'], /Allowed: .*client_credentials/],
    [['client', 'add', 'shop', '--grant', 'client_credentials'], 'needs an audience: give --audience'],
    [
      ['client', 'add', 'shop', '--grant', 'client_credentials', '--audience', 'https://unknown.example'],
      'there is no resource service https://unknown.example',
    ],
    [[...addClient, '--audience', orders], 'It is given twice.'],
    [[...addClient, '--scope', 'stock:read'], 'no audience of the client knows the scope stock:read'],
    [[...addClient, '--scope', 'orders:read stock:read'], 'one scope token'],
    [[...addClient, '--scope', '__proto__'], 'no audience of the client knows the scope __proto__'],
    [[...addClient, '--auth', 'private_key_jwt'], /Allowed: client_secret_basic, client_secret_post/],
    [[...addClient, '--secret', 'chosen'], "unknown option '--secret'"],
  ]));

test('a change to a client that is not there, or that would break it, is refused', (t) =>
  refused(t, [
    [['client', 'update', client], 'nothing to change'],
    [['client', 'update', client, '--scope', 'stock:read'], 'no audience of the client knows the scope stock:read'],
    [
      ['client', 'update', client, '--audience', 'https://unknown.example'],
      'there is no resource service https://unknown.example',
    ],
    [['client', 'update', client, '--name', ''], '1 to 200 characters'],
    [['client', 'update', client, '--name', 'one', '--name', 'two'], 'Another value is given for it too.'],
    [['client', 'update', 'client_nobody', '--name', 'nobody'], 'there is no client "client_nobody"'],
    [['client', 'disable', "'; DROP TABLE client; --"], 'there is no client'],
    [['client', 'rotate-secret', long], 'there is no client "xxx'],
    [['client', 'rotate-secret', client, '--overlap', '1e3'], 'whole number of seconds from 0 to 2592000'],
  ]));

test('keys and tokens that are none are refused', (t) =>
  refused(t, [
    [['keys', 'rotate', '--alg', 'EdDSA'], 'Allowed: ES256, RS256, PS256, Ed25519'],
    [['keys', 'rotate', '--now=true'], "unknown option '--now=true'"],
    [['keys', 'revoke'], "missing required argument 'kid'"],
    [['keys', 'revoke', 'unknown'], 'there is no key of that kid'],
    [['token', 'inspect'], "missing required argument 'jwt'"],
    [['token', 'inspect', 'e30.W10.e30'], 'that is not a JWT'],
    [['token', 'inspect', long], 'longer than any token'],
  ]));

test('settings that are wrong are refused, one line for each', async (t) => {
  const wrong = { ...env, PORT: '70000', ISSUER: 'http://issuer.example' };
  const { code, stdout, stderr } = await keyturn(wrong, 'client', 'list');
  t.same({ code, stdout }, { code: 2, stdout: '' });
  t.match(stderr, /^keyturn: ISSUER: given .*\nkeyturn: PORT: given "70000".*\n$/);
});

test('without a command it says which there are', async (t) => {
  for (const args of [[], ['client']]) {
    const { code, stdout, stderr } = await keyturn(env, ...args);
    t.same({ code, stdout }, { code: 2, stdout: '' });
    t.match(stderr, /^Usage: keyturn /);
  }
  const help = await keyturn(env, 'client', 'add', '--help');
  t.match(help, { code: 0, stdout: /^Usage: keyturn client add \[options\] <name>\n/, stderr: '' });
});
