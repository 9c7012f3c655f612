import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { t as file, type Test, test } from 'tap';
import { readKeyEncryptionKeys } from '../src/keys/key-encryption-keys.ts';
import { listSealedRows } from '../src/keys/sealed-rows.ts';
import { callForKeyEncryptionKeys, nameSealingKey } from '../src/store/issuer.ts';
import { createBrowser, outcomeOf } from './support/browser.ts';
import { get, orders, post, registerClient, registerResource, startIssuer, type TestIssuer } from './support/issuer.ts';
import { authorizePath, newVerifier, password, registerApp, registerUser } from './support/people.ts';
import { eventually, keyturn } from './support/process.ts';
import { project } from './support/project.ts';
import { execute } from './support/run.ts';

const reports = { ...orders, identifier: 'https://reports.example', alg: 'RS256' };

async function start(t: Test) {
  const issuer = await startIssuer(t);
  await registerResource(issuer);
  await registerResource(issuer, reports);
  const { basic } = await registerClient(issuer, { resources: [orders.identifier, reports.identifier] });
  const env = { DATABASE_URL: issuer.databaseUrl, KEYS_DIR: issuer.keysDir };
  const run = (...args: string[]) => keyturn(env, ...args);
  const [old = ''] = await files(issuer);
  return { issuer, run, env, old, token: (of: TestIssuer, resource: string) => token(of, basic, resource) };
}

/** The ids of the key-encryption keys in the folder. */
async function files({ keysDir }: { keysDir: string }): Promise<string[]> {
  return (await readdir(keysDir)).filter((name) => /^kek_\w+\.key$/.test(name)).map((name) => name.slice(0, -4));
}

async function token(issuer: TestIssuer, basic: string, resource: string): Promise<number> {
  const form = { grant_type: 'client_credentials', resource };
  return (await post(issuer, '/token', form, { authorization: basic })).status;
}

/** What is sealed under which key-encryption key. */
async function seals({ database }: TestIssuer): Promise<Record<string, { keys: number; interactions: number }>> {
  const rows = [...(await listSealedRows(database))];
  return Object.fromEntries(
    rows.map(([id, { signingKeys, interactions }]) => [id, { keys: signingKeys.length, interactions }]),
  );
}

/** Moves the database to a new key-encryption key without moving any row, as a rewrap that was killed does. */
async function nameNewOne(issuer: TestIssuer): Promise<string> {
  const made = await (await readKeyEncryptionKeys(issuer.keysDir)).make();
  await callForKeyEncryptionKeys(issuer.database);
  await issuer.app.refresh();
  await eventually(async () => (await nameSealingKey(issuer.database, made)).length === 0);
  await issuer.app.refresh();
  return made;
}

test('rewrap moves all to a new key while instances run, and a sign-in under way goes on', async (t) => {
  const { issuer, run, old, token } = await start(t);
  const other = await startIssuer(t, { beside: issuer });
  const app = await registerApp(issuer);
  await registerUser(issuer);
  const browser = createBrowser(issuer);
  await browser.open(authorizePath(app.id, newVerifier().challenge));
  t.same(await seals(issuer), { [old]: { keys: 4, interactions: 1 } });

  const moved = await run('keys', 'rewrap', '--new', '--json');
  t.equal(moved.code, 0, moved.stderr);
  const { sealing_key: made } = JSON.parse(moved.stdout);
  t.same(JSON.parse(moved.stdout), { sealing_key: made, moved: 5, not_needed: [old] });
  t.equal(moved.stderr, `keyturn: made ${join(issuer.keysDir, made)}.key: every instance needs it in its KEYS_DIR\n`);
  t.same((await files(issuer)).sort(), [old, made].sort());
  t.same(await seals(issuer), { [made]: { keys: 4, interactions: 1 } });

  await rm(join(issuer.keysDir, `${old}.key`));
  t.equal(outcomeOf(await browser.submit({ email: 'ada@example.org', password })), 'consent', 'the sign-in goes on');
  const later = createBrowser(issuer);
  await later.open(authorizePath(app.id, newVerifier().challenge));
  t.same(Object.keys(await seals(issuer)), [made], 'a new sign-in is sealed with the new key');
  t.equal((await run('keys', 'rotate', '--now')).code, 0);
  for (const instance of [issuer, other]) await instance.app.refresh();
  t.same(Object.keys(await seals(issuer)), [made], 'and so is a new signing key');
  const third = await startIssuer(t, { beside: issuer });
  for (const instance of [issuer, other, third]) {
    for (const resource of [orders.identifier, reports.identifier]) t.equal(await token(instance, resource), 200);
  }
  const again = await run('keys', 'rewrap', '--json');
  t.same(JSON.parse(again.stdout), { sealing_key: made, moved: 0, not_needed: [] }, 'again does nothing');
});

test('a key-encryption key seals only once every live instance holds it', async (t) => {
  const { issuer, run, old } = await start(t);
  const row = `('instance_elsewhere', 'test', '{${old}}', now(), now())`;
  await execute(issuer.databaseUrl, `INSERT INTO instance VALUES ${row}`);
  const refused = await run('keys', 'rewrap', '--new');
  t.equal(refused.code, 1);
  const made = (await files(issuer)).find((id) => id !== old) ?? '';
  t.match(
    refused.stderr.split('\n')[1],
    new RegExp(
      `^keyturn: nothing was changed, since instance_elsewhere does not hold ${made}: .* keys rewrap --to ${made}$`,
    ),
  );
  t.same(await seals(issuer), { [old]: { keys: 4, interactions: 0 } });

  await execute(issuer.databaseUrl, `UPDATE instance SET key_encryption_keys = '{${old},${made}}'`);
  const moved = await run('keys', 'rewrap', '--to', made);
  t.match(moved.stdout, `${made} seals; 4 rows were moved to it, and nothing is left under another.\n`);
  t.equal(moved.code, 0);
  for (const [args, says] of [
    [['--to', 'kek_22222222222222222222'], 'It must be the id'],
    [['--to', made, '--new'], 'exclude each other'],
  ] as const) {
    t.match(await run('keys', 'rewrap', ...args), { code: 2, stderr: says });
  }
  t.match(await run('keys', 'rewrap', '--to', 'kek_2222222222222222'), { code: 1, stderr: /is missing: looked for/ });
});

test('rewrap can be killed at any moment: every row still opens, and the next one goes on', async (t) => {
  const { issuer, run, env, old } = await start(t);
  const made = await (await readKeyEncryptionKeys(issuer.keysDir)).make();
  const held = await readKeyEncryptionKeys(issuer.keysDir);
  for (const [to, delay] of [
    [made, 700],
    [old, 2_600],
  ] as const) {
    const { NODE_OPTIONS: _, ...inherited } = process.env;
    const args = [project('scripts/keyturn.js'), 'keys', 'rewrap', '--to', to];
    const child = spawn(process.execPath, args, { env: { ...inherited, ...env }, stdio: 'ignore' });
    setTimeout(() => child.kill('SIGKILL'), delay);
    await once(child, 'exit');
    const rows = await issuer.database.prisma.signingKey.findMany();
    for (const { sealedPrivateJwk } of rows) await t.resolves(held.open(sealedPrivateJwk ?? ''));
  }
  const finished = await run('keys', 'rewrap', '--to', made);
  t.equal(finished.code, 0, finished.stderr);
  t.same(await seals(issuer), { [made]: { keys: 4, interactions: 0 } });
});

test('a file that is removed too early is named, costs only what it seals, and comes back', async (t) => {
  const { issuer, run, old, token } = await start(t);
  const made = await nameNewOne(issuer);
  const path = join(issuer.keysDir, `${old}.key`);
  const doctor = await run('doctor', '--json');
  t.match(
    JSON.parse(doctor.stdout).findings.filter(({ about }: { about: string }) => about === 'keys folder'),
    [
      { level: 'ok', says: `${made} seals, needed for nothing` },
      {
        level: 'warning',
        says: `${old} no longer seals, needed for 4 signing keys; keep its file until keyturn keys rewrap`,
      },
    ],
  );
  // Of the ES256 keys none is left behind, of the RS256 keys both.
  const held = await readKeyEncryptionKeys(issuer.keysDir);
  held.sealWith(made);
  for (const { kid, sealedPrivateJwk } of await issuer.database.prisma.signingKey.findMany({
    where: { alg: 'ES256' },
  })) {
    const sealed = await held.seal(JSON.stringify(await held.open(sealedPrivateJwk ?? '')));
    await issuer.database.prisma.signingKey.update({ where: { kid }, data: { sealedPrivateJwk: sealed } });
  }
  await rename(path, `${path}.away`);

  const second = await startIssuer(t, { beside: issuer });
  const named = second.log.filter(({ msg }) => /cannot be opened/.test(String(msg)));
  t.equal(named.length, 2, 'each key that cannot be opened');
  t.match(named[0], { level: 50, err: { message: `the key-encryption key ${old} is missing: looked for ${path}` } });
  t.match((await get(second, '/health/ready')).json, { status: 'ok' }, 'the others sign');
  t.equal(await token(second, orders.identifier), 200);
  t.equal(await token(second, reports.identifier), 503);
  t.equal(await token(issuer, reports.identifier), 200, 'who has opened it before goes on');
  const ill = await run('doctor', '--json');
  t.equal(ill.code, 1);
  t.match(ill.stdout, `${old} no longer seals, needed for 2 signing keys: ${path} is missing`);
  const stuck = await run('keys', 'rewrap');
  t.match(stuck, { code: 1, stderr: `0 rows were moved, and 2 signing keys under ${old} are left: put the file back` });

  await rename(`${path}.away`, path);
  await writeFile(join(issuer.keysDir, 'kek_2222222222222222.key'), 'half a co', { mode: 0o600 });
  await callForKeyEncryptionKeys(issuer.database);
  await eventually(async () => (await token(second, reports.identifier)) === 200);
  t.ok(
    second.log.some(({ msg }) => /kek_2{16}\.key is not a key-encryption key/.test(String(msg))),
    'a file that is no good is named, and stands in nobody’s way',
  );
});

test('an instance that cannot open the key that signs by default is not ready', async (t) => {
  const { issuer, old, token } = await start(t);
  const made = await nameNewOne(issuer);
  const keysDir = await mkdtemp(join(issuer.keysDir, 'elsewhere-'));
  await cp(join(issuer.keysDir, `${made}.key`), join(keysDir, `${made}.key`));
  const other = await startIssuer(t, { beside: { ...issuer, keysDir }, settings: { ADMIN_PORT: '0' } });
  const locked = async () => {
    const answer = await other.app.adminServer?.inject({ url: '/metrics' });
    return /^keyturn_signing_keys_locked (\d+)$/m.exec(answer?.payload ?? '')?.[1];
  };
  t.equal(await locked(), '4', 'as the metrics say');
  const { status, json } = await get(other, '/health/ready');
  t.equal(status, 503);
  t.match(json, { status: 'unready', reason: 'the key that signs cannot be opened' });
  t.equal(await token(other, orders.identifier), 503);
  t.equal((await get(other, '/.well-known/jwks.json')).json.keys.length, 4, 'what verifiers need stays');
  t.equal(await token(issuer, orders.identifier), 200);
  await cp(join(issuer.keysDir, `${old}.key`), join(keysDir, `${old}.key`));
  await callForKeyEncryptionKeys(issuer.database);
  await eventually(async () => (await get(other, '/health/ready')).status === 200);
  t.equal(await locked(), '0');
});

test('a lost key-encryption key is given up on demand alone; old tokens verify, new keys sign', async (t) => {
  const { issuer, run, old, token } = await start(t);
  const before = (await get(issuer, '/.well-known/jwks.json')).json.keys.map(({ kid }: { kid: string }) => kid);
  const signers = issuer.app.keyring.rows().filter(({ signsFrom }) => signsFrom <= Date.now() / 1000);
  const path = join(issuer.keysDir, `${old}.key`);
  await rm(path);

  t.match(await run('keys', 'give-up', old, '--yes'), {
    code: 1,
    stderr: /held kek_\w+ within the last minute: it is not lost while that runs/,
  });
  await issuer.app.close();
  await t.rejects(
    startIssuer(t, { beside: issuer }),
    { message: new RegExp(`${old} is missing`) },
    'never a new one by itself',
  );
  t.match(await run('keys', 'give-up', old), {
    code: 2,
    stderr: /4 signing keys would be given up, for good; nothing was done/,
  });
  t.match(await run('keys', 'give-up', 'kek_2222222222222222', '--yes'), {
    code: 2,
    stderr: /nothing is sealed under/,
  });
  t.same(await seals(issuer), { [old]: { keys: 4, interactions: 0 } });
  const given = await run('keys', 'give-up', old, '--yes', '--json');
  t.equal(given.code, 0, given.stderr);
  t.same(JSON.parse(given.stdout).erased.sort(), signers.map(({ kid }) => kid).sort());

  const next = await startIssuer(t, { beside: issuer });
  const [made] = await files(issuer);
  t.not(made, old);
  t.same(await seals(issuer), { [made ?? '']: { keys: 4, interactions: 0 } });
  for (const resource of [orders.identifier, reports.identifier]) t.equal(await token(next, resource), 200);
  const after = (await get(next, '/.well-known/jwks.json')).json.keys.map(({ kid }: { kid: string }) => kid);
  for (const { kid } of signers) t.ok(after.includes(kid), 'what it signed verifies');
  t.equal(after.filter((kid: string) => before.includes(kid)).length, 2);
  t.equal(after.length, 6);
});
file.setTimeout(60_000);
