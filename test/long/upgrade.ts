/**
 * `npm run test:upgrade`: an older version and this one beside each other on one database, as in every upgrade. The older
 * one is the last commit that does not know the newest migration, or COMMIT.
 */
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { t as file, test } from 'tap';
import { createBrowser, sendBySocket } from '../support/browser.ts';
import { emptyDatabase } from '../support/database.ts';
import { freePort, orders, type TestIssuer, temporaryFolder } from '../support/issuer.ts';
import { checkOut, olderCommit } from '../support/older-version.ts';
import { authorizePath, newVerifier, password, redirectUri, signIn } from '../support/people.ts';
import { eventually, type ServerProcess, spawnServer } from '../support/process.ts';

const commit = process.env.COMMIT ?? (await olderCommit());
if (commit === undefined) {
  file.plan(0, 'there is no history here in which an older version could be found');
  process.exit(0);
}
file.comment(`beside ${commit}`);
const checkout = await checkOut(file, commit);
const issuer = `http://localhost:${await freePort()}`;
const env = { DATABASE_URL: (await emptyDatabase(file)).url, KEYS_DIR: await temporaryFolder(file), ISSUER: issuer };
const older = await spawnServer(file, { ...env, PORT: String(await freePort()) }, { checkout });

const email = 'ada@example.org';
const scope = 'openid offline_access orders:read';
const [resource, user, web, machine] = await registerAll();
const authorization = basicOf(web);

interface Registered {
  readonly client_id: string;
  readonly client_secret: string;
}

async function registerAll() {
  const { identifier } = orders;
  const add = async (...args: string[]): Promise<Registered> => {
    const { stdout, stderr } = await older.keyturn(...args, '--json');
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout);
  };
  const ends = ['--audience', identifier, '--scope', 'orders:read'];
  const person = ['--scope', 'openid', '--scope', 'offline_access', '--redirect-uri', redirectUri, '--skip-consent'];
  return [
    await add('resource', 'add', identifier, '--scope', 'orders:read'),
    await older.keyturnWithInput(`${password}\n`, 'user', 'add', email, '--password-stdin'),
    await add('client', 'add', 'Web', '--grant', 'authorization_code', '--grant', 'refresh_token', ...person, ...ends),
    await add('client', 'add', 'Machine', '--grant', 'client_credentials', ...ends),
  ] as const;
}

function basicOf({ client_id, client_secret }: Registered): string {
  return `Basic ${btoa(`${client_id}:${client_secret}`)}`;
}

const addressOf = ({ env: { PORT } }: ServerProcess) => `http://127.0.0.1:${PORT}`;

async function ask(at: ServerProcess, path: string, init: RequestInit = {}) {
  const response = await fetch(addressOf(at) + path, init);
  const text = await response.text();
  return { status: response.status, json: /^[{[]/.test(text) ? JSON.parse(text) : undefined };
}

const post = (at: ServerProcess, path: string, form: Record<string, string>, as = authorization) =>
  ask(at, path, { method: 'POST', headers: { authorization: as }, body: new URLSearchParams(form) });
const refresh = (at: ServerProcess, token: string) =>
  post(at, '/token', { grant_type: 'refresh_token', refresh_token: token });
const machineToken = async (at: ServerProcess): Promise<string> =>
  (await post(at, '/token', { grant_type: 'client_credentials' }, basicOf(machine))).json.access_token;
const isActive = async (at: ServerProcess, token: string) => (await post(at, '/introspect', { token })).json.active;
const knowsPerson = async (at: ServerProcess, token: string) =>
  (await ask(at, '/userinfo', { headers: { authorization: `Bearer ${token}` } })).status === 200;
const jwks = async (at: ServerProcess) => (await ask(at, '/.well-known/jwks.json')).json;
const kidOf = (token: string) => decodeProtectedHeader(token).kid;
const generationOf = (token: string) => decodeJwt(token).gen;

/** A browser that goes to whichever the balancer picks. */
function visitor(first: ServerProcess) {
  let at = first;
  const browser = createBrowser({ issuer } as TestIssuer, {
    send: (sent) => sendBySocket({ issuer: addressOf(at) }, sent),
  });
  return {
    goTo(other: ServerProcess) {
      at = other;
    },
    async code(values: Record<string, string> = {}) {
      const { verifier, challenge } = newVerifier();
      const path = authorizePath(web.client_id, challenge, { scope, ...values });
      const { left } = await signIn(browser, path, { email });
      return { code: left?.searchParams.get('code') ?? '', code_verifier: verifier };
    },
  };
}

async function redeem(at: ServerProcess, code: { code: string; code_verifier: string }) {
  const { status, json } = await post(at, '/token', {
    ...{ grant_type: 'authorization_code', redirect_uri: redirectUri },
    ...code,
  });
  if (status !== 200) throw new Error(`${status}: ${JSON.stringify(json)}`);
  return json as { access_token: string; refresh_token: string };
}

test('the older version is used, and goes on while this one starts beside it', async (t) => {
  t.same([user.code, typeof resource], [0, 'object'], user.stderr);
  const given = await redeem(older, await visitor(older).code());
  let held = given.refresh_token;
  let over = false;
  const statuses: number[] = [];
  const using = (async () => {
    while (!over) {
      const { status, json } = await refresh(older, held);
      statuses.push(status);
      if (status === 200) held = json.refresh_token;
      await machineToken(older);
    }
  })();
  current = await spawnServer(file, { ...env, PORT: String(await freePort()) });
  t.match(current.stdout(), 'Next, ', current.stderr());
  over = true;
  await using;
  t.ok(statuses.length > 2 && statuses.every((status) => status === 200), `${statuses.length} refreshes meanwhile`);
  t.equal((await refresh(current, held)).status, 200, 'and this one goes on with the last');
  const { code, stderr } = await older.keyturn('keys', 'list');
  t.ok(Number(code) > 0, 'from now on administrators use the command line of this one');
  t.match(stderr, /^keyturn: .* newer than this Keyturn.*upgrade Keyturn$/m);
});

let current: ServerProcess = older;

for (const way of ['older to newer', 'newer to older'] as const) {
  const both = () => (way === 'older to newer' ? ([older, current] as const) : ([current, older] as const));

  test(`a sign-in, ${way}`, async (t) => {
    const [one, other] = both();
    const person = visitor(one);
    const code = await person.code();
    const given = await redeem(other, code);
    t.equal(await knowsPerson(one, given.access_token), true, 'a code of the one is redeemed at the other');
    person.goTo(other);
    t.not((await person.code({ prompt: 'none' })).code, '', 'and whoever has signed in there is known here');
    const again = await post(one, '/token', { grant_type: 'authorization_code', redirect_uri: redirectUri, ...code });
    t.equal(again.json.error, 'invalid_grant');
    await eventually(async () => !(await isActive(other, given.access_token)));
    t.equal(
      (await refresh(other, given.refresh_token)).json.error,
      'invalid_grant',
      'a code shown twice ends the grant',
    );
  });

  test(`refreshes, ${way}`, async (t) => {
    const [one, other] = both();
    let { refresh_token: held } = await redeem(one, await visitor(one).code());
    const first = held;
    for (const at of [other, one, other, other, one]) {
      const { status, json } = await refresh(at, held);
      t.equal(status, 200);
      t.equal(generationOf(json.refresh_token), Number(generationOf(held)) + 1, 'one lineage');
      held = json.refresh_token;
    }
    const twice = await Promise.all([one, other].map((at) => refresh(at, held)));
    t.same(
      twice.map(({ status }) => status),
      [200, 200],
    );
    t.same(...(twice.map(({ json }) => generationOf(json.refresh_token)) as [unknown, unknown]), 'both the same');
    t.equal((await refresh(other, first)).json.error, 'invalid_grant', 'one that is long used');
    t.equal((await refresh(one, twice[0]?.json.refresh_token)).json.error, 'invalid_grant', 'ends the grant for both');
  });

  test(`revocations, ${way}`, async (t) => {
    const [one, other] = both();
    const [kept, single] = [await redeem(one, await visitor(one).code()), await redeem(one, await visitor(one).code())];
    t.equal(await isActive(other, kept.access_token), true);
    t.equal((await post(one, '/revoke', { token: single.access_token })).status, 200);
    const took = await eventually(async () => !(await knowsPerson(other, single.access_token)));
    t.ok(took < 3_000, `refused by the other after ${Math.round(took)} ms`);
    t.equal((await refresh(other, single.refresh_token)).status, 200, 'the grant stands');
    t.equal((await post(one, '/revoke', { token: kept.refresh_token })).status, 200);
    await eventually(async () => !(await isActive(other, kept.access_token)));
    t.equal((await refresh(other, kept.refresh_token)).json.error, 'invalid_grant');

    const person = visitor(one);
    const ended = await redeem(one, await person.code());
    t.equal((await current.keyturn('user', 'sign-out', email)).code, 0);
    await eventually(async () => !(await isActive(other, ended.access_token)));
    t.equal((await refresh(other, ended.refresh_token)).json.error, 'invalid_grant');
    person.goTo(other);
    t.equal((await person.code({ prompt: 'none' })).code, '', 'nor is the session known');
    const entries = async (at: ServerProcess) => (await ask(at, '/revocations')).json.entries;
    await eventually(async () => JSON.stringify(await entries(one)) === JSON.stringify(await entries(other)));
  });

  test(`keys and clients, ${way}`, async (t) => {
    const [one, other] = both();
    const before = await machineToken(other);
    const { code, stderr } = await current.keyturn('keys', 'rotate', '--now');
    t.equal(code, 0, stderr);
    await eventually(async () => kidOf(await machineToken(one)) !== kidOf(before));
    await eventually(async () => kidOf(await machineToken(other)) === kidOf(await machineToken(one)));
    await eventually(async () => JSON.stringify(await jwks(one)) === JSON.stringify(await jwks(other)));
    for (const [giver, taker] of [both(), [...both()].reverse()] as [ServerProcess, ServerProcess][]) {
      const { access_token } = await redeem(giver, await visitor(giver).code());
      t.equal(await knowsPerson(taker, access_token), true, 'what the one signs the other takes');
    }
    const args = ['client', 'add', 'New', '--grant', 'client_credentials', '--audience', orders.identifier];
    const added = JSON.parse((await current.keyturn(...args, '--scope', 'orders:read', '--json')).stdout);
    const form = { grant_type: 'client_credentials' };
    await eventually(async () => (await post(other, '/token', form, basicOf(added))).status === 200);
    t.equal((await current.keyturn('client', 'disable', added.client_id)).code, 0);
    await eventually(async () => (await post(other, '/token', form, basicOf(added))).status === 401);
  });
}

test('the older one stops, this one goes on, and the older one does not start again', async (t) => {
  const given = await redeem(older, await visitor(older).code());
  older.kill('SIGTERM');
  t.equal((await older.ended).code, 0);
  t.equal(await knowsPerson(current, given.access_token), true);
  t.equal((await refresh(current, given.refresh_token)).status, 200);
  for (const server of [older, current]) {
    t.same(
      server.log().filter(({ level }) => Number(level) >= 50),
      [],
      'neither has complained',
    );
  }
  const again = await spawnServer(t, { ...env, PORT: String(await freePort()) }, { checkout });
  const { code, stderr } = await again.ended;
  t.ok(Number(code) > 0);
  t.match(stderr, /newer than this Keyturn/);
});
