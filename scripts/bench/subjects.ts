/** Everything that is measured under load: which request, of which server, for how long. */
import { jwksPath } from './bare.ts';
import type { IssuerSite } from './issuer.ts';
import { load, repeated, requestBytes, type Walk } from './load.ts';
import { type BenchApp, clientHeaders, type Registered, tokenRequest } from './registration.ts';
import type { Subject } from './rounds.ts';
import type { ServerProcess } from './server-process.ts';
import { type BenchBrowser, type CodeFlow, createBrowser, createCodeFlow, refreshes } from './walks.ts';

export interface Servers {
  readonly issuer: ServerProcess;
  readonly bare: { readonly inline: ServerProcess; readonly batched: ServerProcess };
  /** node-oidc-provider, with a refresh token for each connection. */
  readonly peer: { readonly server: ServerProcess; readonly refreshTokens: readonly string[] };
}

/** So few that none of them waits longer for its hash than the issuer lets anybody wait. */
const signingIn = 8;

const each = (connections: number, request: Buffer): Walk[] =>
  Array.from({ length: connections }, () => repeated(request));

/** What machines ask for. */
export function machineSubjects(
  { issuer, bare }: Servers,
  { machine }: Registered,
  connections: number,
): Record<'token' | 'inlineToken' | 'batchedToken' | 'rsaToken' | 'jwks' | 'bareJwks', Subject> {
  const tokenBytes = (alg: 'ES256' | 'RS256') => {
    const { headers, body } = tokenRequest(machine, alg);
    return requestBytes('POST', '/token', headers, body);
  };
  const es256 = { walks: each(connections, tokenBytes('ES256')), seconds: 2.5 };
  const rs256 = { walks: each(connections, tokenBytes('RS256')), seconds: 1.5 };
  const keys = { walks: each(connections, requestBytes('GET', jwksPath, {})), seconds: 2 };

  return {
    token: { title: 'POST /token, ES256: Keyturn', server: issuer, ...es256 },
    inlineToken: { title: 'POST /token, ES256: bare, signing inline', server: bare.inline, ...es256 },
    batchedToken: { title: 'POST /token, ES256: bare, signing in batches', server: bare.batched, ...es256 },
    rsaToken: { title: 'POST /token, RS256: Keyturn', server: issuer, ...rs256 },
    jwks: { title: 'GET jwks.json: Keyturn', server: issuer, ...keys },
    bareJwks: { title: 'GET jwks.json: bare', server: bare.inline, ...keys },
  };
}

/** What people's apps and browsers ask of an issuer, prepared by sign-in and first tokens. */
export async function preparePeople(
  site: IssuerSite,
  issuer: ServerProcess,
  registered: Registered,
  connections: number,
): Promise<Record<'refresh' | 'codeFlow' | 'signIn', Subject>> {
  const { webApp, mobileApp, person } = registered;
  const browser = createBrowser(site.issuer, webApp, person);
  await load(site.port, [[browser.openPage, browser.signIn]], 0);
  const flows = Array.from({ length: connections }, () => createCodeFlow(webApp, browser));
  const firstTokens = await obtainRefreshTokens(site, registered, browser, connections);
  return {
    refresh: { title: 'refresh: Keyturn, in Postgres', server: issuer, ...refreshing(mobileApp, firstTokens) },
    codeFlow: { title: 'code flow, RS256 ID token: Keyturn', server: issuer, walks: flows.map(walkOf), seconds: 2 },
    signIn: {
      title: `POST /sign-in, ${signingIn} connections: Keyturn`,
      server: issuer,
      walks: Array.from({ length: signingIn }, () => [browser.signIn]),
      seconds: 1.5,
    },
  };
}

/** The same, and what it is held against. */
export async function peopleSubjects(
  site: IssuerSite,
  { issuer, bare, peer }: Servers,
  registered: Registered,
  connections: number,
): Promise<Record<'refresh' | 'peerRefresh' | 'codeFlow' | 'signIn' | 'hashing', Subject>> {
  const { machine, mobileApp, person } = registered;
  const { refresh, ...rest } = await preparePeople(site, issuer, registered, connections);
  const inMemory = refreshing(mobileApp, peer.refreshTokens);
  const password = new URLSearchParams({ password: person.password }).toString();
  const hashing = requestBytes('POST', '/password', clientHeaders(machine), password);
  return {
    refresh,
    peerRefresh: { title: 'refresh: oidc-provider, in memory', server: peer.server, ...inMemory },
    ...rest,
    hashing: {
      title: `argon2id alone, ${signingIn} connections: bare`,
      server: bare.inline,
      walks: each(signingIn, hashing),
      seconds: 1.5,
    },
  };
}

const refreshing = (app: BenchApp, tokens: readonly string[]) => ({
  walks: tokens.map((token) => refreshes(app, token)),
  seconds: 2,
});

const walkOf = ({ authorize, redeem }: CodeFlow): Walk => [authorize, redeem];

/** The first refresh token of so many grants. */
async function obtainRefreshTokens(
  { port }: IssuerSite,
  { mobileApp }: Registered,
  browser: BenchBrowser,
  count: number,
): Promise<string[]> {
  const flows = Array.from({ length: count }, () => createCodeFlow(mobileApp, browser));
  await load(port, flows.map(walkOf), 0);
  return flows.map((flow) => flow.refreshToken());
}
