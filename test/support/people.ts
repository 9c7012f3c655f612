/** A person, an app they sign in to, and the way through both. */
import { createHash, randomBytes } from 'node:crypto';
import { createPasswords } from '../../src/crypto/password.ts';
import type { Client } from '../../src/protocol/client.ts';
import type { User } from '../../src/protocol/user.ts';
import { addUser } from '../../src/store/user.ts';
import { createBrowser, type TestBrowser, type Visit } from './browser.ts';
import { type Answer, orders, post, registerClient, type TestIssuer } from './issuer.ts';

export const password = 'correct horse battery staple';
export const redirectUri = 'https://app.example/callback';

const passwords = createPasswords({ concurrency: 1, waiting: 100, patience: 60 });
const passwordHash = await passwords.hash(password);

/** Adds somebody whose password is `password`. */
export async function registerUser(issuer: TestIssuer, values: Partial<User> = {}): Promise<User> {
  const user: User = {
    id: `user_${randomBytes(10).toString('hex')}`,
    email: 'ada@example.org',
    emailVerified: false,
    name: 'Ada Lovelace',
    roles: [],
    epoch: 0,
    grantEpoch: 0,
    disabledAt: null,
    ...values,
  };
  await addUser(issuer.database, user, passwordHash);
  return user;
}

/** Adds a web app that signs people in. */
export function registerApp(issuer: TestIssuer, values: Partial<Client> = {}) {
  return registerClient(issuer, {
    name: 'Web shop',
    grantTypes: ['authorization_code'],
    redirectUris: [redirectUri],
    scopes: ['openid', 'profile', 'email', ...Object.keys(orders.scopes)],
    ...values,
  });
}

/** A verifier and its S256 challenge (RFC 7636). */
export function newVerifier(): { verifier: string; challenge: string } {
  const verifier = randomBytes(32).toString('base64url');
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') };
}

/** The path of an authorization request; a value of undefined leaves a parameter out. */
export function authorizePath(
  clientId: string,
  challenge: string,
  values: Record<string, string | undefined> = {},
): string {
  const parameters: Record<string, string | undefined> = {
    response_type: 'code',
    client_id: clientId,
    redirect_uri: redirectUri,
    scope: 'openid profile',
    state: 'the state',
    nonce: 'the nonce',
    code_challenge: challenge,
    code_challenge_method: 'S256',
    ...values,
  };
  const given = Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return `/authorize?${new URLSearchParams(given)}`;
}

/** Goes through sign-in and consent, whichever are asked, to where the app takes over. */
export async function signIn(
  browser: TestBrowser,
  path: string,
  who: { email: string; password?: string } = { email: 'ada@example.org' },
): Promise<Visit> {
  let visit = await browser.open(path);
  if (/type="password"/.test(visit.html)) visit = await browser.submit({ password, ...who });
  if (/value="allow"/.test(visit.html)) visit = await browser.submit({ decision: 'allow' });
  return visit;
}

/** From nothing to tokens: what the token endpoint answers. */
export async function obtainTokens(
  issuer: TestIssuer,
  client: { id: string; basic: string },
  values: Record<string, string | undefined> = {},
  browser = createBrowser(issuer),
  email = 'ada@example.org',
): Promise<Answer & { code: string; verifier: string }> {
  const { verifier, challenge } = newVerifier();
  const { left } = await signIn(browser, authorizePath(client.id, challenge, values), { email });
  const code = left?.searchParams.get('code') ?? '';
  return { ...(await redeem(issuer, client, code, verifier)), code, verifier };
}

/** Redeems a code. */
export function redeem(
  issuer: TestIssuer,
  client: { basic: string },
  code: string,
  verifier: string | undefined,
  values: Record<string, string> = {},
): Promise<Answer> {
  const form = { grant_type: 'authorization_code', code, redirect_uri: redirectUri, ...values };
  return post(
    issuer,
    '/token',
    { ...form, ...(verifier !== undefined && { code_verifier: verifier }) },
    {
      authorization: client.basic,
    },
  );
}
