/** Who asks: the clients and the person that the issuer is told of, and how the clients show who they are. */
import { digestSecret, newId, newSecret } from '../../src/crypto/handle.ts';
import { createPasswords } from '../../src/crypto/password.ts';
import { type Client, clientDefaults } from '../../src/protocol/client.ts';
import { addClient } from '../../src/store/client.ts';
import { type Database, openDatabase } from '../../src/store/database.ts';
import { addResource } from '../../src/store/resource.ts';
import { addUser } from '../../src/store/user.ts';

export interface ClientCredentials {
  readonly id: string;
  readonly secret: string;
}

/** A client that may ask for tokens of its own, and the audiences of its ES256 and RS256 tokens. */
export interface BenchClient extends ClientCredentials {
  readonly audiences: { readonly ES256: string; readonly RS256: string };
  readonly scope: string;
}

/** A client that people sign in to, and what it asks for. It is not asked about: nobody has to consent. */
export interface BenchApp extends ClientCredentials {
  readonly redirectUri: string;
  readonly scope: string;
}

export interface Person {
  readonly sub: string;
  readonly email: string;
  readonly password: string;
  readonly passwordHash: string;
}

export interface Registered {
  /** Asks by its own right (`client_credentials`). */
  readonly machine: BenchClient;
  /** Asks for an access token and an ID token of a person. */
  readonly webApp: BenchApp;
  /** Asks for an access token and a refresh token of a person. */
  readonly mobileApp: BenchApp;
  readonly person: Person;
}

const scope = 'orders:read';
const audiences = { ES256: 'https://orders.example', RS256: 'https://reports.example' };
const redirectUri = 'https://app.example/callback';

/** Registers all of them, with the resource services. A running issuer knows them within a second. */
export async function register(databaseUrl: string): Promise<Registered> {
  const database = openDatabase(databaseUrl);
  try {
    for (const alg of ['ES256', 'RS256'] as const) {
      const resource = { identifier: audiences[alg], scopes: { [scope]: '' }, alg, accessTtl: null };
      if (!(await addResource(database, resource))) throw new Error(`${audiences[alg]} is already there`);
    }
    const machine = await addMachine(database);
    const app = { redirectUris: [redirectUri], resources: [audiences.ES256], skipConsent: true };
    const codeAlone = { ...app, grantTypes: ['authorization_code'], scopes: ['openid', scope] };
    const withRefresh = { ...app, grantTypes: ['authorization_code', 'refresh_token'], scopes: [scope] };
    return {
      machine,
      webApp: { ...(await addTo(database, codeAlone)), redirectUri, scope: `openid ${scope}` },
      mobileApp: { ...(await addTo(database, withRefresh)), redirectUri, scope },
      person: await addPerson(database),
    };
  } finally {
    await database.close();
  }
}

/** More clients like `machine`; `register` comes first. */
export async function registerMachines(databaseUrl: string, count: number): Promise<BenchClient[]> {
  const database = openDatabase(databaseUrl);
  try {
    return await Promise.all(Array.from({ length: count }, () => addMachine(database)));
  } finally {
    await database.close();
  }
}

async function addMachine(database: Database): Promise<BenchClient> {
  const values = { grantTypes: ['client_credentials'], scopes: [scope], resources: Object.values(audiences) };
  return { ...(await addTo(database, values)), audiences, scope };
}

async function addTo(database: Database, values: Partial<Client>): Promise<ClientCredentials> {
  const secret = newSecret('kt');
  const client = { ...clientDefaults, id: newId('client'), name: 'bench', secretDigests: [digestSecret(secret)] };
  await addClient(database, { ...client, ...values });
  return { id: client.id, secret };
}

async function addPerson(database: Database): Promise<Person> {
  const password = 'correct horse battery staple';
  const passwordHash = await createPasswords({ concurrency: 1, waiting: 0, patience: 1 }).hash(password);
  const user = {
    id: newId('user'),
    email: 'ada@example.org',
    emailVerified: false,
    name: null,
    roles: [],
    epoch: 0,
    grantEpoch: 0,
    disabledAt: null,
  };
  await addUser(database, user, passwordHash);
  return { sub: user.id, email: user.email, password, passwordHash };
}

/** The headers of a form that a client sends by itself (RFC 6749 §2.3.1). */
export function clientHeaders({ id, secret }: ClientCredentials): Record<string, string> {
  return {
    authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
    'content-type': 'application/x-www-form-urlencoded',
  };
}

/** The headers and the form of a machine's token request. */
export function tokenRequest(
  client: BenchClient,
  alg: 'ES256' | 'RS256',
): { headers: Record<string, string>; body: string } {
  const form = { grant_type: 'client_credentials', ...(alg === 'RS256' && { resource: client.audiences.RS256 }) };
  return { headers: clientHeaders(client), body: new URLSearchParams(form).toString() };
}
