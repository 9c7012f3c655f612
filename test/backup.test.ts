import { cp } from 'node:fs/promises';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { test } from 'tap';
import { freshDatabase } from './support/database.ts';
import { get, orders, post, registerClient, registerResource, startIssuer, temporaryFolder } from './support/issuer.ts';
import { eventually, keyturn } from './support/process.ts';
import { execute } from './support/run.ts';

const form = 'grant_type=client_credentials';

/** All rows of all tables, as a logical backup has them. */
async function dump(url: string): Promise<Record<string, string>> {
  const tables = await execute(
    url,
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_name <> '_prisma_migrations'`,
  );
  const rows = tables.map(async ({ name }) => {
    const [found] = await execute(url, `SELECT coalesce(json_agg(t), '[]')::text AS rows FROM "${name}" AS t`);
    return [name, found?.rows] as [string, string];
  });
  return Object.fromEntries(await Promise.all(rows));
}

async function restore(url: string, tables: Record<string, string>): Promise<void> {
  const inserts = Object.entries(tables).map(([name, rows]) => {
    const json = `$backup$${rows}$backup$`;
    return `INSERT INTO "${name}" SELECT * FROM json_populate_recordset(null::"${name}", ${json}) ON CONFLICT DO NOTHING;`;
  });
  await execute(url, inserts.join('\n'));
  for (const [sequence, table] of [
    ['change_id_seq', 'change'],
    ['revocation_id_seq', 'revocation'],
  ] as const) {
    await execute(url, `SELECT setval('${sequence}', greatest((SELECT max(id) FROM ${table}), 1))`);
  }
}

test('the database and the key-encryption keys, put back elsewhere, verify and sign as before', async (t) => {
  const issuer = await startIssuer(t);
  await registerResource(issuer);
  const { basic } = await registerClient(issuer);
  const before = (await post(issuer, '/token', form, { authorization: basic })).json.access_token;
  const shown = (await get(issuer, '/.well-known/jwks.json')).json;
  const tables = await dump(issuer.databaseUrl);
  const keysDir = await temporaryFolder(t);
  await cp(issuer.keysDir, keysDir, { recursive: true });
  await issuer.app.close();
  await execute(issuer.databaseUrl, 'DELETE FROM signing_key');

  const { url } = await freshDatabase(t);
  await restore(url, tables);
  const env = { DATABASE_URL: url, KEYS_DIR: keysDir };
  const withoutFiles = { ...env, KEYS_DIR: await temporaryFolder(t) };
  const ill = await keyturn(withoutFiles, 'doctor', '--json');
  t.equal(ill.code, 1);
  t.match(ill.stdout, /is missing/, 'the database alone is not enough');
  await t.rejects(startIssuer(t, { beside: { ...issuer, databaseUrl: url, keysDir: withoutFiles.KEYS_DIR } }), {
    message: /key-encryption key kek_\w+ is missing/,
  });

  const restored = await startIssuer(t, { beside: { ...issuer, databaseUrl: url, keysDir } });
  const jwks = (await get(restored, '/.well-known/jwks.json')).json;
  t.same(jwks, shown, 'the same keys are published');
  const verify = (token: string) => jwtVerify(token, createLocalJWKSet(jwks), { audience: orders.identifier });
  await t.resolves(verify(before), 'a token from before verifies');
  const after = await post(restored, '/token', form, { authorization: basic });
  t.equal(after.status, 200, 'the client is known');
  await t.resolves(verify(after.json.access_token));
  await eventually(
    async () => (await execute(url, `SELECT 1 FROM instance WHERE seen_at > now() - interval '5 s'`)).length > 0,
  );
  const well = JSON.parse((await keyturn(env, 'doctor', '--json')).stdout);
  t.same(
    well.findings.filter(({ level, about }: { level: string; about: string }) => level !== 'ok' && about !== 'jwks'),
    [],
    'nobody listens, so there is no JWKS to fetch; the rest is well',
  );
});
