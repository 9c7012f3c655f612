import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { openPrivateJwk } from '../src/crypto/sealing.ts';
import { freshDatabase } from './support/database.ts';
import { eventually, type ServerProcess, spawnServer } from './support/process.ts';
import { execute } from './support/run.ts';

const form = 'application/x-www-form-urlencoded';

/** Everything that must never be in a log, by what it is. */
type Secrets = Map<string, string>;

/** Sends a request and forgets the answer, but for the access token in it. */
async function send(server: ServerProcess, path: string, init: RequestInit): Promise<string | undefined> {
  const response = await fetch(`${server.issuer}${path}`, { method: 'POST', ...init });
  const text = await response.text();
  return response.status === 200 ? JSON.parse(text).access_token : undefined;
}

/** What an administrator does, and what clients do rightly and wrongly; answers every secret that was in it. */
async function fullRun(t: Test, server: ServerProcess): Promise<Secrets> {
  const secrets: Secrets = new Map();
  const admin = async (...args: string[]) => {
    const { code, stdout, stderr } = await server.keyturn(...args, '--json');
    t.equal(code, 0, stderr);
    return JSON.parse(stdout);
  };
  await admin('resource', 'add', 'https://orders.example', '--scope', 'orders:read');
  const machine = ['--grant', 'client_credentials', '--audience', 'https://orders.example'];

  const grant = { grant_type: 'client_credentials' };
  for (const method of ['client_secret_basic', 'client_secret_post']) {
    const { client_id: id, client_secret: first } = await admin('client', 'add', method, ...machine, '--auth', method);
    const { client_secret: secret } = await admin('client', 'rotate-secret', id);
    const wrong = `ktcs_${method}_wrong_${'w'.repeat(30)}`;
    secrets
      .set(`${method}: first secret`, first)
      .set(`${method}: secret`, secret)
      .set(`${method}: wrong secret`, wrong);

    for (const [what, value] of Object.entries({ first, secret, wrong })) {
      const basic = btoa(`${id}:${value}`);
      secrets.set(`${method}: Basic form of the ${what}`, basic);
      const headers = { authorization: `Basic ${basic}` };
      const posted = { ...grant, client_id: id, client_secret: value };
      const answers = [
        () => send(server, '/token', { headers, body: new URLSearchParams(grant) }),
        () => send(server, '/token', { body: new URLSearchParams(posted) }),
        () => send(server, `/token?${new URLSearchParams(posted)}`, { headers, body: new URLSearchParams(grant) }),
        () => send(server, `/token/${value}?client_secret=${value}`, { headers, body: '' }),
        () => send(server, `/token%3Fclient_secret=${value}`, { headers, body: '' }),
        () => send(server, '/token', { headers: { 'content-type': 'application/json' }, body: JSON.stringify(posted) }),
        () =>
          send(server, '/token', {
            headers: { 'content-type': form },
            body: `client_secret=${value}&client_secret=${value}`,
          }),
        () =>
          send(server, '/token', { headers: { 'content-type': form }, body: `client_secret=${value}&bad=%ff\u0000` }),
        () => send(server, '/token', { headers: { authorization: `Bearer ${value}`, cookie: `s=${value}` }, body: '' }),
        () =>
          send(server, '/token', {
            headers: { referer: `https://a.example/?${value}`, 'user-agent': value },
            body: '',
          }),
      ];
      if (what === 'secret') await eventually(async () => (await answers[0]?.()) ?? (await answers[1]?.()));
      for (const [index, answer] of answers.entries()) {
        const token = await answer();
        if (token !== undefined) secrets.set(`${method}: access token ${what} ${index}`, token);
      }
    }
  }
  const { kid } = (await admin('keys', 'list'))[0];
  await admin('keys', 'rotate', '--now');
  await admin('keys', 'revoke', kid);
  for (const [name, token] of [...secrets].filter(([name]) => name.includes('access token'))) {
    await send(server, `/nowhere/${token}`, { headers: { authorization: `Bearer ${token}` } });
    secrets.set(`signature of ${name}`, token.split('.')[2] as string);
  }
  return secrets;
}

/** The key-encryption key, the private halves of the signing keys, and the password of the database. */
async function keptSecrets(server: ServerProcess): Promise<Secrets> {
  const secrets: Secrets = new Map();
  const [file = ''] = await readdir(join(server.folder, 'keys'));
  const text = (await readFile(join(server.folder, 'keys', file), 'utf8')).trim();
  secrets.set('key-encryption key', text);
  const key = { id: file.replace('.key', ''), secret: Buffer.from(text, 'base64url') };
  const url = server.env.DATABASE_URL as string;
  for (const { kid, sealed } of await execute(
    url,
    'SELECT kid, sealed_private_jwk AS sealed FROM signing_key WHERE sealed_private_jwk IS NOT NULL',
  )) {
    secrets.set(`sealed ${kid}`, String(sealed));
    const jwk = await openPrivateJwk(String(sealed), key);
    for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi'] as const) {
      if (jwk[member] !== undefined) secrets.set(`${member} of ${kid}`, jwk[member]);
    }
  }
  const { password } = new URL(url);
  if (password !== '') secrets.set('password of the database', decodeURIComponent(password));
  return secrets;
}

test('at its most talkative the log of a full run holds no secret, and every line can be read by a program', async (t) => {
  const { url } = await freshDatabase(t);
  const server = await spawnServer(t, { DATABASE_URL: url, LOG_LEVEL: 'trace' });
  const keptAtFirst = await keptSecrets(server);
  const secrets = new Map([...keptAtFirst, ...(await fullRun(t, server)), ...(await keptSecrets(server))]);
  server.kill('SIGTERM');
  const { stdout, stderr } = await server.ended;

  t.ok(
    [...secrets.keys()].filter((name) => name.startsWith('client_secret_') && name.includes('access token')).length >=
      2,
  );
  t.ok([...secrets.values()].every((secret) => secret.length >= 16));
  for (const [name, secret] of secrets) t.notOk((stdout + stderr).includes(secret), name);

  const lines = stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  for (const { time, level, msg } of lines) {
    if (!(Math.abs(time - Date.now()) < 600_000 && [10, 20, 30, 40, 50].includes(level) && typeof msg === 'string')) {
      t.fail(`not a log line: ${JSON.stringify({ time, level, msg })}`);
    }
  }
  const requests = lines.filter(({ msg }) => msg === 'answered' || msg === 'token issued');
  t.ok(requests.length > 50, `${requests.length} lines about requests`);
  t.same(
    requests.filter(({ reqId }) => typeof reqId !== 'string'),
    [],
    'each with the id of its request',
  );
  const ids = requests.filter(({ msg }) => msg === 'answered').map(({ reqId }) => reqId);
  t.equal(new Set(ids).size, ids.length, 'which no other has');
});
