/** A browser without a screen: keeps cookies, follows redirects within the issuer, fills in and posts forms. */
import type { TestIssuer } from './issuer.ts';

export interface Visit {
  readonly status: number;
  readonly headers: Record<string, string | string[] | number | undefined>;
  readonly html: string;
  /** Where it leads outside the issuer, if it does. */
  readonly left: URL | undefined;
}

/** What came of a visit, in a word: what a page asks for, `code`, the error that the client is told, or the page's status. */
export function outcomeOf({ left, html, status }: Visit): string {
  if (left !== undefined) return left.searchParams.has('code') ? 'code' : (left.searchParams.get('error') ?? 'nothing');
  const form = /<form[^>]* action="[^"]*\/([a-z-]+)"/.exec(html)?.[1];
  return status === 200 && form !== undefined ? form : `page ${status}`;
}

export interface TestBrowser {
  readonly cookies: Map<string, string>;
  /** Every line of `Set-Cookie` that has come. */
  readonly setCookies: string[];
  open(path: string): Promise<Visit>;
  /** Fills in the form of the page visited last and posts it, with what it carries unseen. */
  submit(values: Record<string, string>): Promise<Visit>;
  /** The hidden values of that form. */
  hidden(): Record<string, string>;
  /** The headers that it would send with a form. */
  headers(): Record<string, string>;
  /** Posts as a page of the issuer, whatever page was visited. */
  post(path: string, form: Record<string, string>, headers?: Record<string, string>): Promise<Visit>;
}

export interface Sent {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly payload?: string;
}

export interface Received {
  readonly status: number;
  readonly headers: Visit['headers'];
  readonly setCookies: readonly string[];
  readonly html: string;
}

async function sendWithoutSocket({ app }: TestIssuer, { path, ...sent }: Sent): Promise<Received> {
  const { statusCode, headers, payload } = await app.server.inject({ url: path, ...sent });
  return { status: statusCode, headers, setCookies: [headers['set-cookie'] ?? []].flat(), html: payload };
}

export async function sendBySocket(
  { issuer }: Pick<TestIssuer, 'issuer'>,
  { path, payload, ...sent }: Sent,
): Promise<Received> {
  const url = new URL(path, issuer);
  const response = await fetch(url, { ...sent, ...(payload !== undefined && { body: payload }), redirect: 'manual' });
  const { status, headers } = response;
  const setCookies = headers.getSetCookie();
  return { status, headers: Object.fromEntries(headers), setCookies, html: await response.text() };
}

export interface BrowserOptions {
  readonly sockets?: boolean;
  /** Another way for requests than those two. */
  readonly send?: (request: Sent) => Promise<Received>;
  /** Where it is, as a proxy in front says it (TRUST_PROXY). */
  readonly address?: string;
}

export function createBrowser(
  issuer: TestIssuer,
  { sockets = false, send: otherWay, address }: BrowserOptions = {},
): TestBrowser {
  const cookies = new Map<string, string>();
  const setCookies: string[] = [];
  const ownWay = sockets ? sendBySocket : sendWithoutSocket;
  const send = otherWay ?? ((request: Sent) => ownWay(issuer, request));
  const { origin } = new URL(issuer.issuer);
  let page = '';

  async function request(method: 'GET' | 'POST', path: string, payload?: string, headers = {}): Promise<Visit> {
    const response = await send({
      method,
      path,
      headers: {
        ...ownHeaders(),
        ...(payload !== undefined && { 'content-type': 'application/x-www-form-urlencoded', origin }),
        ...headers,
      },
      ...(payload !== undefined && { payload }),
    });
    for (const line of response.setCookies) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '' || /; *Max-Age=0/i.test(line)) cookies.delete(name);
      else cookies.set(name, value);
    }
    setCookies.push(...response.setCookies);
    const { status, headers: answered, html } = response;
    const { location } = answered;
    const target = typeof location === 'string' ? new URL(location, issuer.issuer) : undefined;
    if (target?.origin === origin && status === 303) return request('GET', target.pathname + target.search);
    if (target === undefined) page = html;
    return { status, headers: answered, html, left: target };
  }

  function ownHeaders(): Record<string, string> {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    return { cookie, 'user-agent': 'Test', ...(address !== undefined && { 'x-forwarded-for': address }) };
  }

  function hidden(): Record<string, string> {
    const fields = page.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)">/g);
    return Object.fromEntries([...fields].map(([, name = '', value = '']) => [name, value]));
  }

  const post: TestBrowser['post'] = (path, form, headers) =>
    request('POST', path, new URLSearchParams(form).toString(), headers);

  return {
    cookies,
    setCookies,
    hidden,
    headers: () => ({ ...ownHeaders(), origin }),
    post,
    open: (path) => request('GET', path),
    submit(values) {
      const action = /<form[^>]* action="([^"]+)"/.exec(page)?.[1]?.replaceAll('&amp;', '&');
      if (action === undefined) throw new Error(`no form on this page:\n${page}`);
      return post(action, { ...hidden(), ...values });
    },
  };
}
