import { chmod, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { t as file, test } from 'tap';
import { registerResource, startIssuer } from './support/issuer.ts';
import { eventually, keyturn } from './support/process.ts';
import { execute } from './support/run.ts';

interface Finding {
  about: string;
  level: 'ok' | 'warning' | 'problem';
  says: string;
}

const issuer = await startIssuer(file, { listen: true });
await registerResource(issuer);
const env = { DATABASE_URL: issuer.databaseUrl, KEYS_DIR: issuer.keysDir, ISSUER: issuer.issuer };
await eventually(async () => (await execute(issuer.databaseUrl, 'SELECT 1 FROM instance')).length === 1);
const [kekFile = ''] = (await readdir(issuer.keysDir)).filter((name) => name.endsWith('.key'));
const kek = kekFile.replace('.key', '');

async function doctor(settings: Record<string, string> = {}) {
  const { code, stdout, stderr } = await keyturn({ ...env, ...settings }, 'doctor', '--json');
  const { status, findings } = JSON.parse(stdout) as { status: string; findings: Finding[] };
  return { code, stderr, status, findings, bad: findings.filter(({ level }) => level !== 'ok') };
}

test('of a healthy issuer it says so, in words and as JSON', async (t) => {
  const { code, status, findings, bad } = await doctor();
  t.same(bad, []);
  t.same({ code, status }, { code: 0, status: 'ok' });
  const says = findings.map(({ about, says }) => `${about}: ${says}`).join('\n');
  t.match(says, /^database: reached at \S+; all migrations are applied$/m);
  t.match(says, /^clock: this machine's clock is 0\.\d s off the database's \(5 s are tolerated\)$/m);
  t.match(says, new RegExp(`^instances: instance_\\S+, version test, started .+, holds ${kek}$`, 'm'));
  t.match(says, `keys folder: ${kek} seals, needed for 4 signing keys\n`);
  t.match(says, /^keys: ES256: \S{43} has signed for .+, until \S+Z \(in .+\), its standby is published$/m);
  t.match(says, /^next: \S+Z \(in 29 d 23 h\): [ER]S256 \S{43} starts to sign$/m);
  t.match(says, `jwks: ${issuer.issuer}/.well-known/jwks.json shows the 4 keys that the database says are published\n`);
  t.match(says, /^jwks: RS256: the standby is published 29 d 23 h before it signs, caches may take 20 min 6 s$/m);

  const short = await doctor({ KEY_SIGN_FOR: '1000', JWKS_MAX_AGE: '10', ACCESS_TOKEN_TTL: '900' });
  t.ok(short.findings.every((finding) => !finding.says.includes('longer than KEY_SIGN_FOR')));
  const tight = await doctor({ KEY_SIGN_FOR: '20', JWKS_MAX_AGE: '5', ACCESS_TOKEN_TTL: '10' });
  t.ok(
    tight.findings.some(({ says }) => says.startsWith('they sign for 5 min 11 s, longer than KEY_SIGN_FOR, as tokens')),
  );

  const words = await keyturn(env, 'doctor');
  t.equal(words.code, 0);
  t.match(words.stdout, /^ok {7}database {6}reached at /);
  t.notMatch(words.stdout, '\x1b');
});

test('a key-encryption key that is missing is named with what needs it', async (t) => {
  const path = join(issuer.keysDir, kekFile);
  await rename(path, `${path}.away`);
  t.teardown(() => rename(`${path}.away`, path));
  const { code, bad } = await doctor();
  t.equal(code, 1);
  t.same(bad, [
    { about: 'keys folder', level: 'problem', says: `${kek} seals, needed for 4 signing keys: ${path} is missing` },
  ]);
});

test('files and folders that others can get at are a problem', async (t) => {
  const path = join(issuer.keysDir, kekFile);
  await chmod(path, 0o640);
  await chmod(issuer.keysDir, 0o777);
  t.teardown(async () => {
    await chmod(path, 0o600);
    await chmod(issuer.keysDir, 0o700);
  });
  const { code, bad } = await doctor();
  t.equal(code, 1);
  t.same(
    bad.map(({ says }) => says),
    [path, issuer.keysDir].map((at) => `others than its owner may get at ${at}: chmod go= ${at}`),
  );
});

test('an instance without a key-encryption key that is needed is a problem', async (t) => {
  await execute(
    issuer.databaseUrl,
    `INSERT INTO instance VALUES ('instance_other', 'test', '{kek_other}', now(), now())`,
  );
  t.teardown(() => execute(issuer.databaseUrl, `DELETE FROM instance WHERE id = 'instance_other'`));
  const { code, bad } = await doctor();
  t.equal(code, 1);
  t.match(bad, [
    { about: 'instances', level: 'problem', says: new RegExp(`^instance_other, .*, and lacks ${kek}: put`) },
  ]);
  await execute(
    issuer.databaseUrl,
    `UPDATE instance SET seen_at = now() - interval '61 s' WHERE id = 'instance_other'`,
  );
  t.equal((await doctor()).code, 0, 'unless it is gone');
});

test('a JWKS that is not what the database says, or is cached otherwise, is a problem', async (t) => {
  const [row] = await execute(
    issuer.databaseUrl,
    `UPDATE signing_key SET created_at = signs_from - interval '60 s' WHERE kid =
       (SELECT kid FROM signing_key WHERE alg = 'ES256' ORDER BY signs_from DESC LIMIT 1) RETURNING kid`,
  );
  t.match((await doctor()).bad, [
    { about: 'keys', level: 'warning', says: /^ES256: .*; due: postpone: caches or tokens live longer than when/ },
    {
      about: 'jwks',
      level: 'warning',
      says: /^ES256: the standby is published 1 min before it signs, caches may take 20/,
    },
  ]);
  const asked = await doctor({ JWKS_MAX_AGE: '60' });
  t.match(
    asked.bad.find(({ level }) => level === 'problem'),
    { about: 'jwks', says: 'Cache-Control says max-age 600, JWKS_MAX_AGE says 60' },
  );

  // Behind the server's back, so that it does not learn of it.
  await execute(issuer.databaseUrl, `UPDATE signing_key SET revoked_at = now() WHERE kid = '${row?.kid}'`);
  t.teardown(() => execute(issuer.databaseUrl, 'UPDATE signing_key SET revoked_at = NULL'));
  const { code, bad } = await doctor();
  t.equal(code, 1);
  t.match(bad, [
    { about: 'keys', level: 'warning', says: /^ES256: .* no standby is published; due: create: / },
    {
      about: 'jwks',
      level: 'problem',
      says: `${issuer.issuer}/.well-known/jwks.json still shows ${row?.kid}: an old copy`,
    },
  ]);
});

test('a private half that is not what its row says is a problem', async (t) => {
  const [row] = await execute(
    issuer.databaseUrl,
    `UPDATE signing_key SET public_jwk = jsonb_set(public_jwk, '{x}', '"AAAA"') WHERE alg = 'ES256' RETURNING kid, public_jwk`,
  );
  const { code, bad } = await doctor();
  t.equal(code, 1);
  t.ok(
    bad.some(
      ({ says }) =>
        says === `the private half of ES256 key ${row?.kid} cannot be opened: keyturn keys revoke ${row?.kid}`,
    ),
  );
});

test('without a database, or an issuer at that address, that is what it says', async (t) => {
  const away = await doctor({ DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/nowhere' });
  t.equal(away.code, 1);
  t.match(away.findings, [{ about: 'database', level: 'problem', says: /cannot be reached/ }]);
  t.equal(away.stderr, '');
  const elsewhere = await doctor({ ISSUER: 'http://127.0.0.1:1' });
  t.equal(elsewhere.code, 1);
  t.ok(elsewhere.bad.some(({ says }) => says.startsWith('http://127.0.0.1:1/.well-known/jwks.json gives no JWKS: ')));
  for (const wrong of [keyturn(env, 'doctor', '--all'), keyturn({ ...env, PORT: 'x' }, 'doctor')]) {
    t.match(await wrong, { code: 2, stdout: '' });
  }
});
