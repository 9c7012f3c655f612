import { match, ok } from 'node:assert/strict';
import fc from 'fast-check';
import { t as file, test } from 'tap';
import { freshDatabase } from './support/database.ts';
import { checkGivesNothingAway, checkHoldsNone, nasty, walk } from './support/hostile.ts';
import { temporaryFolder } from './support/issuer.ts';
import { keyturnInterrupted, keyturnWithInput } from './support/process.ts';

const { url } = await freshDatabase(file);
const stdin = 'what is typed at the prompt';
const env = { DATABASE_URL: url, KEYS_DIR: await temporaryFolder(file) };
const secrets = {
  ...(new URL(url).password !== '' && { 'the database password': new URL(url).password }),
  input: stdin,
};

/** What the help lists: no command can be left out. */
async function listed(...path: string[]): Promise<string[]> {
  const { stdout } = await keyturnWithInput('', env, ...path, '--help');
  const [, commands = ''] = stdout.split('\nCommands:\n');
  return [...commands.matchAll(/^ {2}([a-z-]+)/gm)].map(([, name = '']) => name).filter((name) => name !== 'help');
}
const groups = await Promise.all(
  (await listed()).map(async (group) => {
    const commands = await listed(group);
    return commands.length === 0 ? [group] : commands.map((command) => `${group} ${command}`);
  }),
);
const commands = [...groups.flat(), ''];

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

test('every command is among them', async (t) => {
  for (const command of ['audit tail', 'doctor', 'keys rewrap', 'revoke', 'user delete'])
    t.ok(commands.includes(command));
  t.ok(commands.length > 30, `${commands.length} commands`);
});

test('any command line is carried out, or refused in a line that says why', async (t) => {
  const property = fc.asyncProperty(fc.tuple(line, line), async (lines) => {
    await Promise.all(
      lines.map(async ([command, words]) => {
        const args = [...command.split(' ').filter((part) => part !== ''), ...words];
        const goesOn = command === 'audit tail';
        const run = goesOn ? keyturnInterrupted(3_000, stdin, env, ...args) : keyturnWithInput(stdin, env, ...args);
        const { code, stdout, stderr } = await run;
        const shown = JSON.stringify(args).slice(0, 500);
        ok((code === null && goesOn) || [0, 1, 2].includes(code as number), `${shown}: ${code}`);
        checkGivesNothingAway(stderr.replaceAll(/<zq7x>/g, ''));
        checkHoldsNone(secrets, stdout + stderr);
        if (code !== 0 && stderr !== '') match(stderr, /^(Usage: |keyturn: [^\p{Cc}\p{Cf}]+\n)/u, shown);
      }),
    );
  });
  await fc.assert(property, walk(6));
  t.pass('every one');
});
