import { decodeJwt, decodeProtectedHeader } from 'jose';
import { t as file, type Test, test } from 'tap';
import { freshDatabase } from './support/database.ts';
import { startProxy } from './support/database-proxy.ts';
import { eventually, openTemporaryFolder, type ServerProcess, spawnServer } from './support/process.ts';

/** A change is to be in force within a second of the command's end; the rest is for a busy machine. */
const within = 1_000 + 1_500;

const { url } = await freshDatabase(file);
const keysDir = await openTemporaryFolder(file);
const deaf = await startProxy(file, url, { deaf: true });
const hearing = await spawnServer(file, { DATABASE_URL: url, KEYS_DIR: keysDir });
/** To this one no notification ever gets through. */
const unhearing = await spawnServer(file, { DATABASE_URL: deaf.url, KEYS_DIR: keysDir });
const servers = [hearing, unhearing];

const orders = 'https://orders.example';
await hearing.keyturn('resource', 'add', orders, '--scope', 'orders:read', '--scope', 'orders:write');
const machine = ['--grant', 'client_credentials', '--audience', orders, '--scope', 'orders:read'];

interface Credentials {
  client_id: string;
  client_secret: string;
}

async function change(t: Test, ...args: string[]): Promise<Credentials> {
  const { code, stdout, stderr } = await hearing.keyturn(...args, '--json');
  t.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

/** Status of a token request and, where it was granted, what the token says. */
async function request({ issuer }: ServerProcess, { client_id, client_secret }: Credentials) {
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${client_id}:${client_secret}`)}` },
    body: new URLSearchParams({ grant_type: 'client_credentials' }),
  });
  const { access_token } = (await response.json()) as { access_token?: string };
  if (access_token === undefined) return { status: response.status };
  return { status: response.status, ...decodeJwt(access_token), ...decodeProtectedHeader(access_token) };
}

type Outcome = Awaited<ReturnType<typeof request>> & { scope?: unknown };

/** Both servers soon answer these credentials so. */
async function soon(
  t: Test,
  credentials: Credentials,
  holds: (outcome: Outcome) => boolean,
  what: string,
): Promise<void> {
  const took = servers.map((server) => eventually(async () => holds(await request(server, credentials)), within));
  for (const [index, one] of (await Promise.allSettled(took)).entries()) {
    t.equal(one.status, 'fulfilled', `${what}: ${index === 0 ? 'by notification or poll' : 'by poll alone'}`);
  }
}

/** A client that no test changes. */
const steady: Credentials = JSON.parse((await hearing.keyturn('client', 'add', 'steady', ...machine, '--json')).stdout);

const granted = ({ status }: Outcome) => status === 200;
const refused = ({ status }: Outcome) => status === 401;

test('what the command line does to a client is so within a second on every server, also without notifications', async (t) => {
  const client = await change(t, 'client', 'add', 'billing', ...machine);
  await soon(t, client, granted, 'added');
  await change(t, 'client', 'update', client.client_id, '--scope', 'orders:write');
  await soon(t, client, ({ scope }) => scope === 'orders:write', 'given another scope');
  await change(t, 'client', 'disable', client.client_id);
  await soon(t, client, refused, 'disabled');
  await change(t, 'client', 'enable', client.client_id);
  await soon(t, client, granted, 'enabled');
  t.ok(deaf.swallowed() > 0, 'there was something to hear');
});

test('so is a rotated secret, and the old one is good for as long as was said', async (t) => {
  const first = await change(t, 'client', 'add', 'shop', ...machine);
  await soon(t, first, granted, 'added');
  const second = await change(t, 'client', 'rotate-secret', first.client_id, '--overlap', '3600');
  await soon(t, second, granted, 'the second secret is good');
  await soon(t, first, granted, 'and the first is, too');
  const third = await change(t, 'client', 'rotate-secret', first.client_id);
  await soon(t, third, granted, 'the third secret is good');
  await soon(t, second, refused, 'the second no more');
  await soon(t, first, refused, 'nor the first');
});

test('so is a changed resource service', async (t) => {
  await change(t, 'resource', 'update', orders, '--access-ttl', '77', '--alg', 'RS256');
  const isSo = (one: Outcome) => 'exp' in one && Number(one.exp) - Number(one.iat) === 77 && one.alg === 'RS256';
  await soon(t, steady, isSo, 'another life and algorithm');
});

test('so is a rotated key: the next token is signed with it, and both servers publish the next standby', async (t) => {
  const before = await request(hearing, steady);
  await change(t, 'keys', 'rotate', '--now');
  await soon(t, steady, (one) => 'kid' in one && 'kid' in before && one.kid !== before.kid, 'another key signs');
  const published = () => Promise.all(servers.map(({ issuer }) => publishedKids(issuer)));
  await eventually(async () => {
    const [one, other] = await published();
    return one?.length === 6 && one.join() === other?.join();
  });
});

async function publishedKids(issuer: string): Promise<string[]> {
  const { keys } = (await (await fetch(`${issuer}/.well-known/jwks.json`)).json()) as { keys: { kid: string }[] };
  return keys.map(({ kid }) => kid);
}
