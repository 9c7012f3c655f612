import { match, ok } from 'node:assert/strict';
import fc from 'fast-check';
import { t as file, test } from 'tap';
import { freshDatabase } from './support/database.ts';
import { checkGivesNothingAway, checkHoldsNone, nasty, walk } from './support/hostile.ts';
import { keyturnWithInput } from './support/process.ts';

const { url } = await freshDatabase(file);
const stdin = 'what is typed at the prompt';
const env = { DATABASE_URL: url };
const secrets = {
  ...(new URL(url).password !== '' && { 'the database password': new URL(url).password }),
  input: stdin,
};

/** All but what goes on until it is stopped. */
const commands = [
  ...[
    'resource add',
    'resource update',
    'resource list',
    'client add',
    'client update',
    'client disable',
    'client list',
  ],
  ...[
    'client rotate-secret',
    'user add',
    'user update',
    'user set-password',
    'user disable',
    'user grant-role',
    'role add',
  ],
  ...[
    'session list',
    'session end',
    'keys list',
    'keys rotate',
    'keys revoke',
    'revoke',
    'token inspect',
    'audit list',
    'audit export',
    '',
  ],
];
const option = fc.constantFrom(
  ...[
    '--scope',
    '--alg',
    '--access-ttl',
    '--grant',
    '--redirect-uri',
    '--audience',
    '--auth',
    '--public',
    '--serves',
    '--origin',
  ],
  ...[
    '--cookie-domain',
    '--refresh',
    '--backchannel-logout-uri',
    '--overlap',
    '--password-stdin',
    '--name',
    '--role',
    '--permission',
  ],
  ...[
    '--jti',
    '--token',
    '--grant',
    '--session',
    '--user',
    '--client',
    '--reason',
    '--json',
    '--limit',
    '--since',
    '--',
    '-',
    '--no-such',
  ],
);
const value = nasty.map((text) => text.replaceAll('\0', '\u0001').replace(/\p{Cs}/gu, '?'));
const word = fc.oneof(
  option,
  value,
  value.map((text) => `--scope=${text}`),
  fc.constantFrom('a', 'https://a.example', 'a@b.example'),
);
const line = fc.tuple(fc.constantFrom(...commands), fc.array(word, { maxLength: 6 }));

test('any command line is carried out, or refused in a line that says why', async (t) => {
  const property = fc.asyncProperty(fc.tuple(line, line), async (lines) => {
    await Promise.all(
      lines.map(async ([command, words]) => {
        const args = [...command.split(' ').filter((part) => part !== ''), ...words];
        const { code, stdout, stderr } = await keyturnWithInput(stdin, env, ...args);
        const shown = JSON.stringify(args).slice(0, 500);
        ok([0, 1, 2].includes(Number(code)), `${shown}: ${code}`);
        checkGivesNothingAway(stderr.replaceAll(/<zq7x>/g, ''));
        checkHoldsNone(secrets, stdout + stderr);
        if (code !== 0 && stderr !== '') match(stderr, /^(Usage: |keyturn: [^\p{Cc}\p{Cf}]+\n)/u, shown);
      }),
    );
  });
  await fc.assert(property, walk(6));
  t.pass('every one');
});
