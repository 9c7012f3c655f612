import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose';
import { type Test, test } from 'tap';
import { createTestClock } from './support/clock.ts';
import { freePort, get, post, registerResource, startIssuer, type TestIssuer } from './support/issuer.ts';
import { type Answering, startLogoutReceiver } from './support/logout-receiver.ts';
import { obtainTokens, registerApp, registerUser } from './support/people.ts';
import { eventually } from './support/process.ts';
import { project } from './support/project.ts';
import { suspicionsOf } from './support/suspicions.ts';

const page = readFileSync(project('docs/suspicion.md'), 'utf8');
const accepts: Answering = (response) => response.writeHead(202).end();

/** An issuer that tells somebody, with an app and a person. */
async function startTelling(t: Test, url: string, clock = createTestClock()) {
  const settings = { EVENTS_URL: url, TRUST_PROXY: 'loopback' };
  const issuer = await startIssuer(t, { clock, settings, listen: true });
  await registerResource(issuer);
  const ada = await registerUser(issuer);
  const grantTypes = ['authorization_code', 'refresh_token'];
  const app = await registerApp(issuer, { grantTypes, refreshRotates: false });
  /** Two take turns with one grant. Answers its name in access tokens. */
  async function takeTurns(): Promise<string> {
    const { json } = await obtainTokens(issuer, app);
    const form = { grant_type: 'refresh_token', refresh_token: json.refresh_token };
    for (const from of ['198.51.100.7', '203.0.113.9', '198.51.100.7', '203.0.113.9']) {
      clock.advance(200);
      await post(issuer, '/token', form, { authorization: app.basic, 'x-forwarded-for': from });
    }
    await issuer.app.suspicions.settled();
    return String(decodeJwt(json.access_token).gid);
  }
  return { issuer, ada, app, clock, takeTurns };
}

async function verified(issuer: TestIssuer, token: string, audience: string) {
  const keys = createLocalJWKSet((await get(issuer, '/.well-known/jwks.json')).json);
  return jwtVerify(token, keys, { issuer: issuer.issuer, audience, typ: 'secevent+jwt', algorithms: ['ES256'] });
}

test('the token that comes is the one that the page shows, signed with a key of the JWKS', async (t) => {
  const receiver = await startLogoutReceiver(t, accepts);
  const { issuer, ada, app, clock, takeTurns } = await startTelling(t, `${receiver.uri}?to=the%20team`);
  const gid = await takeTurns();
  await issuer.app.refresh();
  const { body } = await receiver.next();
  const { origin } = new URL(receiver.uri);
  const { payload } = await verified(issuer, body, origin);
  const shown = JSON.parse(/```json\n([\s\S]*?)```/.exec(page)?.[1] ?? '');
  const expected = JSON.parse(
    JSON.stringify(shown)
      .replaceAll('https://id.example', issuer.issuer)
      .replace('https://alarms.example', origin)
      .replace(shown.jti, String(payload.jti))
      .replace(shown.sub_id.sub, ada.id)
      .replace('client_m4n5p6q7r8s9t2u3', app.id)
      .replace('zW8nXw4c3m6qk0JtYv1b5A', gid),
  );
  t.same(payload, { ...expected, iat: clock.now(), toe: clock.now() });
  t.match(payload.jti, /^event_[a-z2-9]{16}$/);
  const spent = JSON.stringify([
    await suspicionsOf(issuer)(),
    body,
    issuer.log.filter(({ rule }) => rule !== undefined),
  ]);
  t.notMatch(spent, /eyJ.*eyJ.*eyJ.*eyJ/, 'no other token is in what is told');
  t.notMatch(Buffer.from(body.split('.')[1] ?? '', 'base64url').toString(), /@|Lovelace/, 'nor who it is');
});

test('who or what each rule is about', async (t) => {
  const receiver = await startLogoutReceiver(t, accepts);
  const { issuer, app, takeTurns } = await startTelling(t, receiver.uri);
  await takeTurns();
  const whence = { ip: '198.51.100.7', address: '198.51.100.7', network: '198.51.100.0/24' };
  const { observe } = issuer.app.suspicions;
  const at = 1_800_000_000;
  await observe({ kind: 'failed sign-in', at, whence, userId: undefined, accounts: 20, networks: 9 });
  await observe({ kind: 'failed sign-in', at, whence, userId: 'user_x', accounts: 3, networks: 6 });
  await observe({ kind: 'code replay', at, whence, userId: 'user_x', clientId: app.id, grantId: 'g' });
  for (let count = 0; count < 50; count += 1) await observe({ kind: 'forged token', at, whence, clientId: app.id });
  await issuer.app.refresh();
  const told: Record<string, unknown> = {};
  for (let count = 0; count < 5; count += 1) {
    const { payload } = await verified(issuer, (await receiver.next()).body, new URL(receiver.uri).origin);
    const [uri = ''] = Object.keys(payload.events as object);
    told[uri.replace(`${issuer.issuer}/events/`, '')] = (payload.sub_id as { sub?: string; id?: string }) ?? {};
  }
  t.match(told, {
    'grant-in-two-places': { format: 'iss_sub' },
    'many-accounts': { format: 'opaque', id: '198.51.100.7' },
    'many-addresses': { format: 'iss_sub', iss: issuer.issuer, sub: 'user_x' },
    'code-replay': { format: 'iss_sub', sub: 'user_x' },
    'forged-tokens': { format: 'opaque', id: app.id },
  });
});

test('an instance that dies leaves its events to the others; without EVENTS_URL none is written', async (t) => {
  const receiver = await startLogoutReceiver(t, accepts);
  const { issuer, takeTurns, clock } = await startTelling(t, `http://127.0.0.1:${await freePort()}/`);
  await takeTurns();
  await issuer.app.close();
  const next = await startIssuer(t, { clock, beside: issuer, settings: { EVENTS_URL: receiver.uri } });
  clock.advance(60);
  await next.app.refresh();
  const { payload } = await verified(next, (await receiver.next()).body, new URL(receiver.uri).origin);
  t.match(payload.events, { [`${next.issuer}/events/grant-in-two-places`]: { count: 4 } });
  const silent = await startIssuer(t);
  const whence = { ip: '198.51.100.7', address: '198.51.100.7', network: '198.51.100.0/24' };
  await silent.app.suspicions.observe({
    kind: 'failed sign-in',
    at: 1,
    whence,
    userId: undefined,
    accounts: 20,
    networks: 0,
  });
  t.equal((await suspicionsOf(silent)()).length, 1);
  t.equal(await silent.database.prisma.eventDelivery.count(), 0);
});

test('the receiver of the page takes what is ours, says it once, and refuses the rest', async (t) => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/events`;
  const { issuer, takeTurns } = await startTelling(t, url);
  // Below the project, where jose is.
  const file = join(project('dist'), `receiver-${process.pid}.mjs`);
  t.teardown(() => rm(file));
  await writeFile(file, /```js\n([\s\S]*?)```/.exec(page)?.[1] ?? '');
  const env = { ...process.env, ISSUER: issuer.issuer, AUDIENCE: `http://127.0.0.1:${port}`, PORT: String(port) };
  const receiver: ChildProcess = spawn(process.execPath, [file], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => receiver.kill());
  const lines = createInterface({ input: receiver.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  await eventually(() => fetch(url, { method: 'POST', body: 'x' }).catch(() => undefined));
  t.equal((await fetch(url, { method: 'POST', body: 'x' })).status, 400);
  await takeTurns();
  await issuer.app.refresh();
  const { value } = await lines.next();
  t.match(JSON.parse(value), { subject: { format: 'iss_sub', iss: issuer.issuer } });
  await eventually(
    async () => (await issuer.database.prisma.eventDelivery.count({ where: { deliveredAt: null } })) === 0,
  );
});
