/** All that people and their apps ask of an issuer, once. */
import { createBrowser } from './browser.ts';
import { get, orders, post, registerClient, registerResource, type TestIssuer } from './issuer.ts';
import { authorizePath, newVerifier, obtainTokens, password, registerApp, registerUser, signIn } from './people.ts';

const origin = 'https://shop.example';

/** Who they are. */
export async function registerWalkers(issuer: TestIssuer) {
  await registerResource(issuer);
  const user = await registerUser(issuer);
  const app = await registerApp(issuer, {
    grantTypes: ['authorization_code', 'refresh_token'],
    scopes: ['openid', 'profile', 'offline_access', ...Object.keys(orders.scopes)],
    backchannelLogoutUri: 'http://127.0.0.1:9/logout',
    serves: [orders.identifier],
  });
  const shop = await registerClient(issuer, {
    name: 'Shop',
    firstParty: true,
    authMethod: 'none',
    secretDigests: [],
    origins: [origin],
    grantTypes: ['refresh_token'],
  });
  return { user, app, shop };
}

export type Walkers = Awaited<ReturnType<typeof registerWalkers>>;

/** Two sign-ins, one of them with its sign-out; a wrong password, an unused code, a token used twice, one revoked. */
export async function walkEverywhere(issuer: TestIssuer, { user, app }: Walkers) {
  const authorization = app.basic;
  const token = (form: Record<string, string>) => post(issuer, '/token', form, { authorization });
  const narrow = { scope: 'orders:read', resource: orders.identifier };
  await token({ grant_type: 'client_credentials' });

  const browser = createBrowser(issuer);
  await browser.open(authorizePath(app.id, newVerifier().challenge));
  await browser.submit({ email: user.email, password: 'wrong' });
  const { json } = await obtainTokens(issuer, app, { scope: 'openid profile orders:read' }, browser);
  const { json: next } = await token({ grant_type: 'refresh_token', refresh_token: json.refresh_token });
  await token({ grant_type: 'refresh_token', refresh_token: next.refresh_token, ...narrow });
  for (const asked of [json.access_token, next.refresh_token]) {
    await post(issuer, '/introspect', { token: asked }, { authorization });
  }
  await get(issuer, '/userinfo', { authorization: `Bearer ${next.access_token}` });
  await post(issuer, '/revoke', { token: json.access_token }, { authorization });

  const elsewhere = createBrowser(issuer);
  const offline = await obtainTokens(issuer, app, { scope: 'openid offline_access orders:read' }, elsewhere);
  await token({ grant_type: 'authorization_code', code: offline.code, redirect_uri: 'https://app.example/callback' });
  const twice = await obtainTokens(issuer, app, narrow, elsewhere);
  await token({ grant_type: 'refresh_token', refresh_token: twice.json.refresh_token });
  await post(issuer, '/revoke', { token: twice.json.refresh_token }, { authorization });
  await signIn(elsewhere, authorizePath(app.id, newVerifier().challenge));
  await elsewhere.open(authorizePath(app.id, newVerifier().challenge, { prompt: 'login' }));
  await elsewhere.open('/account');
  await elsewhere.open('/logout');
  await elsewhere.submit({ decision: 'sign-out' });
  return { browser, refreshToken: next.refresh_token as string, accessToken: next.access_token as string };
}

/** Signs in by JSON, as a page of the first-party app does, refreshes and signs out. Answers the statuses. */
export async function walkFirstParty({ app: { server } }: TestIssuer, { user }: Walkers): Promise<number[]> {
  const jar = new Map<string, string>();
  const statuses: number[] = [];
  let csrf = '';
  for (const [method, url] of [
    ['POST', '/session'],
    ['POST', '/session/refresh'],
    ['DELETE', '/session'],
  ] as const) {
    const response = await server.inject({
      method,
      url,
      headers: { origin, 'sec-fetch-site': 'same-site', 'x-csrf-token': csrf },
      cookies: Object.fromEntries(jar),
      ...(url === '/session' && method === 'POST' && { payload: { email: user.email, password } }),
    });
    for (const { name, value } of response.cookies) jar.set(name, value);
    if (response.statusCode === 200 && response.payload !== '') csrf = response.json().csrf_token;
    statuses.push(response.statusCode);
  }
  return statuses;
}
