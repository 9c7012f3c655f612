/** What the command line ends is ended on a running server, access tokens too. */
import { test } from 'tap';
import { createBrowser } from './support/browser.ts';
import { get, registerResource, startIssuer, type TestIssuer } from './support/issuer.ts';
import { obtainTokens, registerApp, registerUser } from './support/people.ts';
import { keyturn } from './support/process.ts';

async function alive(issuer: TestIssuer, token: string): Promise<boolean> {
  await issuer.app.refresh();
  return (await get(issuer, '/userinfo', { authorization: `Bearer ${token}` })).status === 200;
}

test('sessions are listed and ended, and every act on a user reaches their tokens', async (t) => {
  const issuer = await startIssuer(t);
  await registerResource(issuer);
  const user = await registerUser(issuer);
  const app = await registerApp(issuer);
  const env = { DATABASE_URL: issuer.databaseUrl };
  const { json: first } = await obtainTokens(issuer, app, {}, createBrowser(issuer));
  const { json: second } = await obtainTokens(issuer, app, {}, createBrowser(issuer));

  const listed = JSON.parse((await keyturn(env, 'session', 'list', user.email, '--json')).stdout);
  t.equal(listed.length, 2);
  const { sid } = JSON.parse(Buffer.from(first.id_token.split('.')[1], 'base64url').toString());
  t.equal((await keyturn(env, 'session', 'end', sid)).code, 0);
  t.equal(await alive(issuer, first.access_token), false, 'what came of that session is void');
  t.equal(await alive(issuer, second.access_token), true, 'what came of another lives');

  t.equal((await keyturn(env, 'user', 'sign-out', user.email)).code, 0);
  t.equal(await alive(issuer, second.access_token), false);
  const [row] = await issuer.database.query('SELECT epoch_below FROM revocation WHERE epoch_below IS NOT NULL');
  t.match(row, { epoch_below: 1 }, 'the denylist says so too');
  const { json: third } = await obtainTokens(issuer, app, {}, createBrowser(issuer));
  t.equal(await alive(issuer, third.access_token), true, 'a sign-in afterwards, in the same second, lives');

  t.equal((await keyturn(env, 'user', 'delete', user.email)).code, 0);
  t.equal(await alive(issuer, third.access_token), false);
  t.match(await keyturn(env, 'session', 'list', user.email), { code: 2, stderr: /there is no user/ });
  t.match(await keyturn(env, 'session', 'end', 'nonsense'), { code: 2, stderr: /session id/ });
});
