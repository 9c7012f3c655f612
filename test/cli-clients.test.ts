import { t as file, test } from 'tap';
import { digestSecret } from '../src/crypto/handle.ts';
import { freshDatabase } from './support/database.ts';
import { type Ended, keyturn } from './support/process.ts';
import { execute } from './support/run.ts';

const { url } = await freshDatabase(file);
const run = (...args: string[]) => keyturn({ DATABASE_URL: url }, ...args);

/** What a command printed with --json, which is one document and nothing else. */
function document({ code, stdout, stderr }: Ended) {
  if (code !== 0 || stderr !== '') throw new Error(stderr);
  return JSON.parse(stdout);
}

test('a resource service is added, listed and changed', async (t) => {
  t.match(await run('resource', 'list'), { code: 0, stdout: /^no resource services yet: keyturn resource add / });
  const scopes = ['--scope', 'orders:read=See your orders', '--scope', 'orders:write'];
  t.same(await run('resource', 'add', 'https://orders.example', ...scopes), {
    code: 0,
    stdout: [
      'audience            https://orders.example',
      'scopes              orders:read orders:write',
      'alg                 ES256',
      'access tokens live  ACCESS_TOKEN_TTL',
      '',
    ].join('\n'),
    stderr: '',
  });
  const orders = {
    audience: 'https://orders.example',
    scopes: { 'orders:read': 'See your orders', 'orders:write': '' },
    alg: 'ES256',
    access_ttl: null,
  };
  t.same(document(await run('resource', 'list', '--json')), [orders]);

  const changed = { ...orders, alg: 'RS256', access_ttl: 90 };
  const change = ['--alg', 'RS256', '--access-ttl', '90'];
  t.same(document(await run('resource', 'update', 'https://orders.example', ...change, '--json')), changed);
  t.same(await run('resource', 'list'), {
    code: 0,
    stdout: [
      'AUDIENCE                ALG    ACCESS TOKENS LIVE  SCOPES',
      'https://orders.example  RS256  1 min 30 s          orders:read orders:write',
      '',
    ].join('\n'),
    stderr: '',
  });
});

test('a client is added, listed, changed, disabled and enabled; its secrets are shown once and never again', async (t) => {
  await run('resource', 'add', 'urn:stock', '--scope', 'stock:read', '--scope', 'stock:write');
  const machine = ['--grant', 'client_credentials', '--audience', 'urn:stock'];
  const secrets: string[] = [];

  const words = await run('client', 'add', 'in words', ...machine, '--scope', 'stock:read');
  const [, id = '', first = ''] =
    /^client_id {6}(client_[a-z2-9]{16})\nclient_secret {2}(ktcs_[\w-]{43})\n\nKeep the secret now: .*\n$/.exec(
      words.stdout,
    ) ?? [];
  t.equal(words.code, 0);
  t.not(id, '', words.stdout);
  secrets.push(first);

  const json = document(await run('client', 'add', 'in JSON', ...machine, '--auth', 'client_secret_post', '--json'));
  const { client_id, client_secret, ...rest } = json;
  t.match(rest, {
    client_name: 'in JSON',
    grant_types: ['client_credentials'],
    audiences: ['urn:stock'],
    scope: '',
    token_endpoint_auth_method: 'client_secret_post',
    previous_secret_expires_at: null,
    disabled_at: null,
  });
  secrets.push(client_secret);

  const rotated = await run('client', 'rotate-secret', id);
  t.match(rotated.stdout, /\nThe secret before it is void\.\n$/);
  const overlapping = await run('client', 'rotate-secret', id, '--overlap', '60');
  t.match(overlapping.stdout, /\nThe secret before it stays good until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\.\n$/);
  secrets.push(...[rotated, overlapping].map(({ stdout }) => /ktcs_[\w-]{43}/.exec(stdout)?.[0] ?? ''));
  t.equal(new Set(secrets).size, 4, 'four secrets, all different');

  const updated = await run('client', 'update', id, '--name', 'changed', '--scope', 'stock:write');
  t.match(updated, { code: 0, stdout: /^name +changed$[\s\S]*^scopes +stock:write$/m });
  await run('resource', 'update', 'urn:stock', '--scope', 'stock:read');
  const after = [
    await run('client', 'disable', id),
    await run('client', 'disable', id, '--json'),
    await run('client', 'list'),
    await run('client', 'enable', id),
    await run('client', 'list', '--json'),
  ];
  t.same(
    after.map(({ code }) => code),
    [0, 0, 0, 0, 0],
    'also when the audience has forgotten the scope',
  );
  const [disabled, again, list, enabled, all] = after;
  const since = /^state +disabled since (\S+)$/m.exec(disabled?.stdout ?? '')?.[1] ?? '';
  t.equal(JSON.parse(again?.stdout ?? '').disabled_at, Date.parse(since) / 1000, 'once disabled, its time stays');
  t.match(list?.stdout, `${id}  changed  client_credentials  urn:stock  stock:write  disabled since ${since}\n`);
  t.match(enabled?.stdout, /^state +enabled$/m);
  t.same(
    JSON.parse(all?.stdout ?? '')
      .map((one: { client_name: string }) => one.client_name)
      .sort(),
    ['changed', 'in JSON'],
  );
  const said = [updated, ...after].map(({ stdout, stderr }) => stdout + stderr).join('\n');
  for (const secret of secrets) {
    t.notMatch(said, secret);
    t.notMatch(said, digestSecret(secret));
  }
  const [row] = await execute(url, `SELECT client::text AS text FROM client WHERE id = '${id}'`);
  for (const secret of secrets) t.notMatch(row?.text, secret, 'and none is stored');
});
