/** What people and their apps ask of an issuer, as walks: each request is made from the answers before it. */
import { digestSecret } from '../../src/crypto/handle.ts';
import { requestBytes, type Step, type Walk } from './load.ts';
import { type BenchApp, type ClientCredentials, clientHeaders, type Person } from './registration.ts';

const form = { 'content-type': 'application/x-www-form-urlencoded' };

/** RFC 7636 wants a verifier for each request; what a server does is the same with one. */
const codeVerifier = 'bench-verifier-bench-verifier-bench-verifier';

/** Somebody's browser, which keeps the issuer's cookies. */
export interface BenchBrowser {
  /** Asks for the page on which one signs in. */
  readonly openPage: Step;
  /** Posts the form of that page. Each time is another session. */
  readonly signIn: Step;
  /** The cookies of who signed in last. */
  cookies(): string;
}

/** A browser in which a person signs in to an app. `issuer` as the issuer calls itself. */
export function createBrowser(issuer: string, app: BenchApp, { email, password }: Person): BenchBrowser {
  let pageCookies = '';
  let cookies = '';
  let fields = {};
  return {
    openPage: {
      status: 200,
      request: () => requestBytes('GET', authorizePath(app), {}),
      take(answer) {
        pageCookies = cookiesIn(answer);
        const hidden = answer.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)">/g);
        fields = Object.fromEntries([...hidden].map(([, name, value]) => [name, value]));
      },
    },
    signIn: {
      status: 303,
      request() {
        const body = new URLSearchParams({ ...fields, email, password }).toString();
        const { origin } = new URL(issuer);
        return requestBytes('POST', '/sign-in', { ...form, origin, cookie: pageCookies }, body);
      },
      take(answer) {
        cookies = `${pageCookies}; ${cookiesIn(answer)}`;
      },
    },
    cookies: () => cookies,
  };
}

/** An app's way from a live session to tokens: authorization request, code, token request. */
export interface CodeFlow {
  readonly authorize: Step;
  readonly redeem: Step;
  /** The refresh token that came last, if the app gets one. */
  refreshToken(): string;
}

export function createCodeFlow(app: BenchApp, browser: BenchBrowser): CodeFlow {
  const headers = clientHeaders(app);
  let code = '';
  let tokens = '';
  return {
    authorize: {
      status: 303,
      request: () => requestBytes('GET', authorizePath(app), { cookie: browser.cookies() }),
      take(answer) {
        code = found(/\r\nlocation: [^\r]*[?&]code=([^&\r]+)/i, answer);
      },
    },
    redeem: {
      status: 200,
      request() {
        const asked = { grant_type: 'authorization_code', code, redirect_uri: app.redirectUri };
        const body = new URLSearchParams({ ...asked, code_verifier: codeVerifier });
        return requestBytes('POST', '/token', headers, body.toString());
      },
      take(answer) {
        tokens = answer;
      },
    },
    refreshToken: () => refreshTokenIn(tokens),
  };
}

/** Refreshes one after the other, each by the token that the last one gave. */
export function refreshes(client: ClientCredentials, first: string): Walk {
  const headers = clientHeaders(client);
  let token = first;
  const refresh: Step = {
    status: 200,
    request: () => requestBytes('POST', '/token', headers, `grant_type=refresh_token&refresh_token=${token}`),
    take(answer) {
      token = refreshTokenIn(answer);
    },
  };
  return [refresh];
}

function authorizePath({ id, redirectUri, scope }: BenchApp): string {
  const parameters = {
    response_type: 'code',
    client_id: id,
    redirect_uri: redirectUri,
    scope,
    state: 'the-state',
    nonce: 'the-nonce',
    code_challenge: digestSecret(codeVerifier),
    code_challenge_method: 'S256',
  };
  return `/authorize?${new URLSearchParams(parameters)}`;
}

function cookiesIn(answer: string): string {
  return [...answer.matchAll(/\r\nset-cookie: ([^;]+)/gi)].map(([, cookie]) => cookie).join('; ');
}

function refreshTokenIn(answer: string): string {
  return found(/"refresh_token":"([^"]+)"/, answer);
}

function found(pattern: RegExp, answer: string): string {
  const value = pattern.exec(answer)?.[1];
  if (value === undefined) throw new Error(`an answer without ${pattern.source}`);
  return value;
}
