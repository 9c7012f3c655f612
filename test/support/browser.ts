/** A browser without a screen: keeps cookies, follows redirects within the issuer, fills in and posts forms. */
import type { TestIssuer } from './issuer.ts';

export interface Visit {
  readonly status: number;
  readonly headers: Record<string, string | string[] | number | undefined>;
  readonly html: string;
  /** Where it leads outside the issuer, if it does. */
  readonly left: URL | undefined;
}

export interface TestBrowser {
  readonly cookies: Map<string, string>;
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

export function createBrowser(issuer: TestIssuer): TestBrowser {
  const cookies = new Map<string, string>();
  const { origin } = new URL(issuer.issuer);
  let page = '';

  async function request(method: 'GET' | 'POST', path: string, payload?: string, headers = {}): Promise<Visit> {
    const response = await issuer.app.server.inject({
      method,
      url: path,
      headers: {
        ...ownHeaders(),
        ...(payload !== undefined && { 'content-type': 'application/x-www-form-urlencoded', origin }),
        ...headers,
      },
      ...(payload !== undefined && { payload }),
    });
    for (const { name, value, maxAge } of response.cookies as { name: string; value: string; maxAge?: number }[]) {
      if (value === '' || maxAge === 0) cookies.delete(name);
      else cookies.set(name, value);
    }
    const { location } = response.headers;
    const target = typeof location === 'string' ? new URL(location, issuer.issuer) : undefined;
    if (target?.origin === origin && response.statusCode === 303)
      return request('GET', target.pathname + target.search);
    if (target === undefined) page = response.payload;
    return { status: response.statusCode, headers: response.headers, html: response.payload, left: target };
  }

  function ownHeaders(): Record<string, string> {
    return { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '), 'user-agent': 'Test' };
  }

  function hidden(): Record<string, string> {
    const fields = page.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)">/g);
    return Object.fromEntries([...fields].map(([, name = '', value = '']) => [name, value]));
  }

  const post: TestBrowser['post'] = (path, form, headers) =>
    request('POST', path, new URLSearchParams(form).toString(), headers);

  return {
    cookies,
    hidden,
    headers: () => ({ ...ownHeaders(), origin }),
    post,
    open: (path) => request('GET', path),
    submit(values) {
      const action = /<form[^>]* action="([^"]+)"/.exec(page)?.[1];
      if (action === undefined) throw new Error(`no form on this page:\n${page}`);
      return post(action, { ...hidden(), ...values });
    },
  };
}
