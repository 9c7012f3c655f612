import { decodeJwt } from 'jose';
import { test } from 'tap';
import { createBrowser } from './support/browser.ts';
import { post, registerResource, startIssuer, type TestIssuer } from './support/issuer.ts';
import { obtainTokens, registerApp, registerUser } from './support/people.ts';
import { spawnServer } from './support/process.ts';

test('no revocation that was answered is lost, wherever in the act the issuer is killed', async (t) => {
  const issuer = await startIssuer(t);
  await registerResource(issuer);
  await registerUser(issuer);
  const app = await registerApp(issuer, {
    grantTypes: ['authorization_code', 'refresh_token'],
    scopes: ['openid', 'offline_access'],
    skipConsent: true,
  });
  const env = { DATABASE_URL: issuer.databaseUrl, KEYS_DIR: issuer.keysDir, ISSUER: issuer.issuer };
  const browser = createBrowser(issuer);
  const tokens = async () => (await obtainTokens(issuer, app, { scope: 'openid offline_access' }, browser)).json;
  await tokens();
  const given = await Promise.all(Array.from({ length: 40 }, tokens));

  const victim = await spawnServer(t, env);
  const address = `http://127.0.0.1:${victim.env.PORT}`;
  const answered: string[] = [];
  // One after the other on each of four connections, so that the kill finds some answered, some under way, some not sent.
  const lanes = [0, 1, 2, 3].map(async (lane) => {
    for (const { access_token, refresh_token } of given.filter((_, at) => at % 4 === lane)) {
      const token = lane % 2 === 0 ? refresh_token : access_token;
      const response = await fetch(`${address}/revoke`, {
        method: 'POST',
        headers: { authorization: app.basic },
        body: new URLSearchParams({ token }),
      }).catch(() => undefined);
      if (response?.status !== 200) return;
      answered.push(access_token);
      if (answered.length === 12) victim.kill('SIGKILL');
    }
  });
  await Promise.all(lanes);
  t.equal((await victim.ended).code, null, 'it was killed');
  t.ok(answered.length >= 12 && answered.length < given.length, 'in the middle of it');

  await issuer.app.refresh();
  for (const token of answered) t.equal(await isActive(issuer, token, app.basic), false, String(decodeJwt(token).jti));
  const again = await startIssuer(t, { beside: issuer });
  for (const token of answered) t.equal(await isActive(again, token, app.basic), false, 'and after a start');
});

async function isActive(issuer: TestIssuer, token: string, authorization: string): Promise<boolean> {
  const { json } = await post(issuer, '/introspect', { token }, { authorization });
  return json.active;
}
