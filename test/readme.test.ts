/** Every command of the README is run here as it is written; ids, secrets, tokens and the port are filled in. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'tap';
import { spawnServer } from './support/process.ts';
import { project } from './support/project.ts';

interface Block {
  readonly language: string;
  readonly text: string;
}

const readme = readFileSync(project('README.md'), 'utf8');
const blocks: Block[] = [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language = '', text = '']) => ({
  language,
  text,
}));
const commands = blocks.filter(({ language }) => language === 'sh').flatMap(({ text }) => text.trim().split('\n'));
const { scripts } = JSON.parse(readFileSync(project('package.json'), 'utf8'));

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program in the checkout, as who reads the README does: by a shell, or Node for a module. */
function run(program: string, args: string[], env: Record<string, string>, input = ''): Promise<Ran> {
  const child = spawn(program, args, { cwd: project('.'), env: { PATH: process.env.PATH ?? '', ...env } });
  const ran = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => {
    ran.stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    ran.stderr += chunk;
  });
  child.stdin.end(input);
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, ...ran })));
}

/** What stays of an output when times, ids and secrets are left out of account. */
function shape(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\dT[\d:]+Z/g, 'TIME')
    .replace(/\((in )?[\d a-z]+?( ago)?\)|\(now\)/g, '(WHEN)')
    .replace(/\b(client|ktcs)_[\w-]+/g, '$1_ID')
    .replace(/ey[\w-]+\.[\w.-]+|ey[\w-]+…/g, 'TOKEN')
    .replace(/\b[0-9a-f]{8}-[0-9a-f-]{27}\b/g, 'UUID')
    .replace(/(kid\s+)\S{43}/g, '$1KID')
    .replace(/\b\d{10}\b/g, 'NUMBER')
    .replace(/localhost:\d+/g, 'localhost')
    .trim();
}

test('the way to the first token, and everything else the README says to type', async (t) => {
  const server = await spawnServer(t, {});
  const { port } = new URL(server.issuer);
  const outputs = blocks.filter(({ language }) => language === 'text' || language === 'json');
  const known = { client: '', secret: '', token: '' };
  const ran: string[] = [];

  // One of them by npx, which takes a second to find what is in this very folder; the others straight away.
  const fillIn = (command: string) =>
    (ran.length === 0 ? command : command.replace(/^npx keyturn/, 'node scripts/keyturn.js'))
      .replaceAll('localhost:3000', `localhost:${port}`)
      .replaceAll(/client_\w{16}:ktcs_[\w-]+/g, `${known.client}:${known.secret}`)
      .replaceAll(/ey[\w-]+…/g, known.token);

  for (const command of commands.filter((line) => /^(npx|curl)/.test(line))) {
    const { code, stdout, stderr } = await run('sh', ['-c', fillIn(command)], {
      ...server.env,
      DATA_DIR: `${server.folder}/data`,
      KEYS_DIR: `${server.folder}/keys`,
    });
    t.equal(code, 0, `${command}\n${stderr}`);
    ran.push(command);
    known.client ||= /client_id\s+(\S+)/.exec(stdout)?.[1] ?? '';
    known.secret ||= /client_secret\s+(\S+)/.exec(stdout)?.[1] ?? '';
    known.token ||= /"access_token":"([^"]+)"/.exec(stdout)?.[1] ?? '';
    const documented = outputs[ran.length - 1];
    if (documented !== undefined) t.equal(shape(stdout), shape(documented.text), `the output of ${command}`);
  }

  const verifiers = blocks.filter(({ language }) => language === 'js');
  t.equal(verifiers.length, 2, 'one with the package, one with plain jose');
  for (const { text } of verifiers) {
    const code = text.replaceAll('localhost:3000', `localhost:${port}`);
    const module = `const token = ${JSON.stringify(known.token)};\n${code}`;
    const verified = await run(process.execPath, ['--input-type=module', '-'], {}, module);
    t.same(verified, { code: 0, stdout: `${known.client} orders:read\n`, stderr: '' }, 'the module verifies the token');
    const forged = module.replace(/"ey[^"]+"/, (token) => token.replace(/\.[^.]+\./, '.eyJzdWIiOiJtZSJ9.'));
    t.not((await run(process.execPath, ['--input-type=module', '-'], {}, forged)).code, 0, 'and refuses a forged one');
  }

  const elsewhere = commands.filter((command) => !ran.includes(command));
  t.same(
    elsewhere,
    ['npm ci && npm start', 'npm run demo', 'npm ci && npm test'],
    'what is left installs, starts and tests, or has a test of its own',
  );
});

test('the scripts that the README names are there', async (t) => {
  const named = new Set([...readme.matchAll(/`npm (?:run )?([a-z:]+)`/g)].map(([, name]) => name));
  t.ok(named.size >= 4);
  for (const name of named) t.type(scripts[name ?? ''], 'string', `npm run ${name}`);
});

test('every link of the README and of docs leads somewhere', async (t) => {
  const { existsSync, readdirSync } = await import('node:fs');
  const { dirname, join } = await import('node:path');
  const docs = readdirSync(project('docs'), { recursive: true, encoding: 'utf8' });
  const pages = ['README.md', ...docs.filter((name) => name.endsWith('.md')).map((name) => join('docs', name))];
  for (const page of pages) {
    for (const [, target = ''] of readFileSync(project(page), 'utf8').matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      if (/^https?:/.test(target)) continue;
      t.ok(existsSync(project(join(dirname(page), target))), `${page}: ${target}`);
    }
  }
});
