import { revocationDigest } from '@keyturn/verifier/denylist';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { t as file, test } from 'tap';
import { createBrowser } from './support/browser.ts';
import { get, registerResource, startIssuer } from './support/issuer.ts';
import { obtainTokens, registerApp, registerUser } from './support/people.ts';
import { type Ended, keyturnWithInput } from './support/process.ts';

const issuer = await startIssuer(file);
await registerResource(issuer);
const env = { DATABASE_URL: issuer.databaseUrl, KEYS_DIR: issuer.keysDir, ISSUER: issuer.issuer };
const run = (...args: string[]) => keyturnWithInput('', env, ...args);

async function begin() {
  const app = await registerApp(issuer, {
    grantTypes: ['authorization_code', 'refresh_token'],
    scopes: ['openid', 'offline_access'],
    skipConsent: true,
  });
  const user = await registerUser(issuer, { email: `${app.id}@example.org` });
  const browser = createBrowser(issuer);
  const { json } = await obtainTokens(issuer, app, { scope: 'openid' }, browser, user.email);
  const sid = String(browser.cookies.get('kt_session')).replace(/\..*/, '');
  const { access_token, refresh_token, id_token } = json as Record<string, string>;
  const access = access_token ?? '';
  const refresh = refresh_token ?? '';
  return {
    app,
    user,
    sid,
    access,
    refresh,
    idToken: id_token ?? '',
    jti: String(decodeJwt(access).jti),
    gid: String(decodeJwt(refresh).gid),
  };
}

type Person = Awaited<ReturnType<typeof begin>>;
type Eight<T> = [T, T, T, T, T, T, T, T];

interface Row extends Record<string, unknown> {
  digest: string;
  reason: string;
}

const rows = () =>
  issuer.database.query<Row>('SELECT digest, epoch_below, reason, client_id FROM revocation ORDER BY id');

async function isVoid(token: string): Promise<boolean> {
  await issuer.app.refresh();
  return (await get(issuer, '/userinfo', { authorization: `Bearer ${token}` })).status === 401;
}

function said({ code, stdout, stderr }: Ended): string {
  if (code !== 0 || stderr !== '') throw new Error(stderr);
  return stdout;
}

test('one of each: what it names is void, and it says what was done', async (t) => {
  const people = await Promise.all(Array.from({ length: 8 }, begin));
  const [byJti, byToken, byRefresh, byGrant, bySession, byAddress, bySub, byClient] = people as Eight<Person>;
  const because = ['--reason', 'found in a log'];
  const done = await Promise.all([
    run('revoke', '--jti', byJti.jti, ...because),
    keyturnWithInput(`${byToken.access}\n`, env, 'revoke', '--token', '-', '--json'),
    run('revoke', '--token', byRefresh.refresh),
    run('revoke', '--grant', byGrant.gid),
    run('revoke', '--session', bySession.sid, '--json'),
    run('revoke', '--user', byAddress.user.email.toUpperCase()),
    run('revoke', '--user', bySub.user.id, '--json'),
    run('revoke', '--client', byClient.app.id),
  ]);
  const [jti, token, refresh, grant, session, address, sub, client] = done.map(said);
  t.equal(jti, `The token ${byJti.jti} is void.\n`);
  t.same(JSON.parse(token ?? ''), { revoked: 'token', jti: byToken.jti, already_revoked: false });
  t.match(refresh, /^The grant has ended: /);
  t.match(grant, /^The grant has ended: /);
  t.same(JSON.parse(session ?? ''), { revoked: 'session', sid: bySession.sid, ended_grants: 1 });
  t.match(address, `All sessions and grants of ${byAddress.user.email} have ended`);
  t.same(JSON.parse(sub ?? ''), { revoked: 'user', sub: bySub.user.id, email: bySub.user.email });
  t.match(client, `All grants of ${byClient.app.id} have ended`);
  for (const { access } of people) t.equal(await isVoid(access), true);

  const found = await rows();
  const reasonOf = (digest: string) => found.find((row) => row.digest === digest);
  t.match(reasonOf(revocationDigest('jti', byJti.jti)), { reason: 'found in a log', client_id: null });
  t.match(reasonOf(revocationDigest('grant', byGrant.gid)), { reason: 'by command' });
  t.equal(found.length, people.length);
  const all = done.map(({ stdout }) => stdout).join();
  for (const { access, refresh, gid } of people)
    for (const secret of [access, refresh, gid]) t.notOk(all.includes(secret));

  const again = await Promise.all([
    run('revoke', '--jti', byJti.jti, '--json'),
    run('revoke', '--token', byToken.access),
    run('revoke', '--grant', byGrant.gid),
  ]);
  t.same(JSON.parse(said(again[0] as Ended)), { revoked: 'token', jti: byJti.jti, already_revoked: true });
  t.match(said(again[1] as Ended), 'was void before; nothing was done.');
  t.match(said(again[2] as Ended), 'No such grant is alive; nothing was done.');
  t.equal((await rows()).length, people.length, 'again writes nothing');
});

test('what cannot be meant is refused in one line, and nothing is written', async (t) => {
  const { access, idToken, jti, sid, app } = await begin();
  const before = (await rows()).length;
  const [header = '', payload = ''] = access.split('.');
  const expired = await issuer.app.keyring.sign('ES256', 'at+jwt', { ...decodeJwt(access), exp: 1 });
  const cases: [args: string[], says: string | RegExp][] = [
    [[], 'give one of --jti, --token, --grant, --session, --user, --client'],
    [['--jti', jti, '--session', sid], 'give one of '],
    [['--jti', jti, '--jti', jti], 'Another value is given for it too.'],
    [['--jti', 'two words'], 'It must be the jti'],
    [['--session', 'session_1'], 'It must be a session id'],
    [['--grant', 'a b'], 'It must be the gid'],
    [['--user', 'nobody@example.org'], 'there is no user nobody@example.org'],
    [['--user', 'user_nobody\u001b[2J'], /there is no user user_nobody\\/],
    [['--client', 'client_nobody'], 'there is no client "client_nobody"'],
    [['--token', 'garbage'], 'that is no access or refresh token of this issuer that is alive'],
    [['--token', `${header}.${payload}.`], 'that is no access or refresh token'],
    [['--token', idToken], 'that is no access or refresh token'],
    [['--token', expired], 'that is no access or refresh token'],
    [['--token', 'x'.repeat(20_000)], 'that is longer than any token'],
  ];
  const rotate = ['client', 'rotate-secret', app.id, '--revoke', '--overlap', '60'];
  const commands: [args: string[], says: string | RegExp][] = [
    ...cases.map(([args, says]): [string[], string | RegExp] => [['revoke', ...args], says]),
    [rotate, 'revoke goes with no overlap'],
  ];
  await Promise.all(
    [0, 1, 2].map(async (lane) => {
      for (const [args, says] of commands.filter((_, at) => at % 3 === lane)) {
        const { code, stdout, stderr } = await run(...args);
        t.same({ code, stdout }, { code: 2, stdout: '' }, args.join(' ').slice(0, 60));
        t.match(stderr, says);
        t.match(stderr, /^keyturn: [^\p{Cc}]+\n$/u, 'one line');
      }
    }),
  );
  t.equal((await rows()).length, before);
  t.equal(await isVoid(access), false);
});

test('client disable and rotate-secret --revoke void what the client had', async (t) => {
  const [disabled, rotated] = await Promise.all([begin(), begin()]);
  const [, secret] = await Promise.all([
    run('client', 'disable', disabled.app.id).then(said),
    run('client', 'rotate-secret', rotated.app.id, '--revoke').then(said),
  ]);
  t.match(secret, 'All grants have ended, and access tokens from before are void.');
  for (const { access, app } of [disabled, rotated]) {
    t.equal(await isVoid(access), true);
    const entry = (await rows()).filter(({ digest }) => digest === revocationDigest('client', app.id));
    t.match(entry, [{ epoch_below: 1, reason: 'by command' }]);
  }
  said(await run('client', 'disable', disabled.app.id));
  said(await run('client', 'enable', disabled.app.id));
  t.equal((await rows()).filter(({ digest }) => digest === revocationDigest('client', disabled.app.id)).length, 1);
});

test('keys revoke says first how many refresh tokens end with the key', async (t) => {
  const { access } = await begin();
  const { kid } = decodeProtectedHeader(access);
  const [{ count } = { count: 0 }] = await issuer.database.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM "grant" g JOIN client c ON c.id = g.client_id JOIN "user" u ON u.id = g.user_id
      WHERE revoked_at IS NULL AND generation > 0 AND c.disabled_at IS NULL AND client_epoch >= c.grant_epoch
        AND user_epoch >= u.grant_epoch`,
  );
  t.ok(count > 0);
  const words = said(await run('keys', 'revoke', String(kid)));
  t.equal(words.split('\n')[0], `About ${count} refresh tokens are signed by it: who has one signs in again.`);
  t.equal(await isVoid(access), true);
  t.match((await rows()).slice(-1), [{ digest: revocationDigest('kid', String(kid)) }]);
});
