import { doesNotMatch, match, ok } from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import tap, { type Test, test } from 'tap';
import { createBrowser } from './support/browser.ts';
import { checkGivesNothingAway, checkHoldsNone, headerValue, mark, nasty, odd, walk } from './support/hostile.ts';
import { startIssuer } from './support/issuer.ts';
import { authorizePath, newVerifier, password, redirectUri, signIn } from './support/people.ts';
import { registerWalkers, walkEverywhere } from './support/walks.ts';
import { exchange, exchangeOne, formRequest, request, type WireAnswer } from './support/wire.ts';

const issuer = await startIssuer(tap, { listen: true, settings: { TRUST_PROXY: 'loopback', ADMIN_PORT: '0' } });
const walkers = await registerWalkers(issuer);
const { browser, refreshToken, accessToken } = await walkEverywhere(issuer, walkers);
const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
const { verifier, challenge } = newVerifier();
const { left } = await signIn(createBrowser(issuer), authorizePath(walkers.app.id, challenge));
const code = left?.searchParams.get('code') ?? '';

const secrets = {
  password,
  code,
  verifier,
  'refresh token': refreshToken,
  'access token': accessToken,
  'client secret': walkers.app.secret,
  'session secret': browser.cookies.get('kt_session')?.split('.')[1] ?? '',
};

const paths = [
  ...['/authorize', '/token', '/revoke', '/introspect', '/userinfo', '/logout', '/revocations', '/revocations/stream'],
  ...['/session', '/session/refresh', '/account', '/sign-in', '/consent', '/choose', '/health/live', '/health/ready'],
  ...['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server', '/.well-known/jwks.json'],
];
const path = fc.constantFrom(...paths);
const method = fc.constantFrom('GET', 'GET', 'GET', 'POST', 'POST', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD');
const name = fc.oneof(
  odd,
  fc.constantFrom(
    ...[
      'client_id',
      'client_secret',
      'redirect_uri',
      'response_type',
      'response_mode',
      'scope',
      'state',
      'nonce',
      'prompt',
    ],
    ...['max_age', 'login_hint', 'id_token_hint', 'code_challenge', 'code_challenge_method', 'request', 'request_uri'],
    ...[
      'ui_locales',
      'acr_values',
      'claims',
      'display',
      'resource',
      'grant_type',
      'code',
      'code_verifier',
      'refresh_token',
    ],
    ...[
      'token',
      'token_type_hint',
      'since',
      'email',
      'password',
      'csrf',
      'decision',
      'interaction',
      'act',
      'session',
      'client',
    ],
    ...['post_logout_redirect_uri', 'logout_hint', 'current_password', 'new_password', 'repeated_password', 'user'],
  ),
);
const good = fc.constantFrom(
  ...[walkers.app.id, walkers.shop.id, walkers.app.secret, walkers.user.email, redirectUri, challenge, verifier, code],
  ...[
    accessToken,
    refreshToken,
    'S256',
    'code',
    'openid',
    'offline_access',
    'login',
    'none',
    'consent',
    'allow',
    'sign-out',
  ],
  ...['authorization_code', 'refresh_token', 'client_credentials', 'https://orders.example', password],
);
const parameters = fc.array(fc.tuple(name, fc.oneof(good, nasty)), { maxLength: 10 });
const header = fc.oneof(
  fc.constant(`Authorization: ${walkers.app.basic}`),
  fc.constant(`Authorization: Bearer ${accessToken}`),
  fc.constant(`Cookie: ${cookie}`),
  fc.constantFrom(
    'Origin: https://shop.example',
    `Origin: ${issuer.issuer}`,
    'Origin: null',
    'Sec-Fetch-Site: same-site',
  ),
  fc.constantFrom(
    'If-None-Match: *',
    'Last-Event-ID: 0000000000000000-9',
    'Accept: text/html',
    'Accept-Encoding: gzip, br',
  ),
  headerValue.map((value) => `Cookie: kt_session=${value}; kt_browser=${value}; =; ${value}`),
  headerValue.map((value) => `Authorization: Bearer ${value}`),
  headerValue.map((value) => `X-CSRF-Token: ${value}`),
  headerValue.map((value) => `Last-Event-ID: ${value}`),
);

let asked = 0;
/** Each from somewhere else, as a proxy says it, so that limits by address do not end the walk. */
function from(): string {
  asked += 1;
  return `X-Forwarded-For: 10.${(asked >> 16) & 255}.${(asked >> 8) & 255}.${asked & 255}`;
}

const statuses = new Map<string, number>();

/** Never a fault of ours, never to anywhere but ourselves and who is registered, and nothing that helps an attacker. */
function check({ status, headers, body }: WireAnswer): void {
  ok(status >= 200 && status < 500, `${status} ${body}`);
  statuses.set(String(status), (statuses.get(String(status)) ?? 0) + 1);
  checkGivesNothingAway(body);
  match(headers['content-type'] ?? '', /^$|^(application\/(jwk-set\+)?json|text\/html|text\/event-stream|text\/plain)/);
  const { location } = headers;
  if (location !== undefined) ok(isOurs(location), location);
  const cookies = headers['set-cookie'] ?? '';
  doesNotMatch(cookies, /a=b|[\r\n]/);
}

function isOurs(location: string): boolean {
  const { origin, href } = new URL(location, issuer.issuer);
  return origin === new URL(issuer.issuer).origin || href.startsWith(redirectUri);
}

function checkLog(t: Test): void {
  t.comment(Object.fromEntries(statuses));
  statuses.clear();
  checkHoldsNone(secrets, JSON.stringify(issuer.log));
  t.same(
    issuer.log.filter(({ level }) => Number(level) >= 50),
    [],
    'no fault of ours is in the log',
  );
  issuer.log.length = 0;
  issuer.statements.length = 0;
}

test('every endpoint, with any parameters anywhere', async (t) => {
  const body = fc.constantFrom('form', 'json', 'none');
  const property = fc.asyncProperty(
    ...[method, path, parameters, parameters, body, fc.array(header, { maxLength: 4 })],
    async (verb, at, inUrl, inBody, kind, lines) => {
      const query = encoded(inUrl);
      const line = `${verb} ${at}${query && `?${query}`}`;
      const json = kind === 'json';
      const content = kind === 'none' ? '' : json ? JSON.stringify(Object.fromEntries(inBody)) : encoded(inBody);
      const type = json ? 'application/json' : 'application/x-www-form-urlencoded';
      const bytes = Buffer.from(content).toString('latin1');
      check(await exchangeOne(issuer, request(line, [from(), `Content-Type: ${type}`, ...lines], bytes)));
    },
  );
  await fc.assert(property, walk(250));
  checkLog(t);
});

function encoded(pairs: readonly (readonly [string, string])[]): string {
  return new URLSearchParams(pairs.map(([key, value]): [string, string] => [key, value])).toString();
}

test('JSON of any shape where people sign in', async (t) => {
  const property = fc.asyncProperty(fc.oneof(fc.json({ maxDepth: 8 }), headerValue), async (json) => {
    const lines = [
      from(),
      'Content-Type: application/json',
      'Origin: https://shop.example',
      'Sec-Fetch-Site: same-site',
    ];
    check(await exchangeOne(issuer, request('POST /session', lines, Buffer.from(json).toString('latin1'))));
  });
  await fc.assert(property, walk(60));
  const deep = `${'['.repeat(30_000)}${']'.repeat(30_000)}`;
  const lines = ['Content-Type: application/json', 'Origin: https://shop.example', 'Sec-Fetch-Site: same-site'];
  check(await exchangeOne(issuer, request('POST /session', lines, deep)));
  checkLog(t);
});

test('any Host and any target', async (t) => {
  const authority = fc.oneof(headerValue, nasty.map(asBytes), fc.webAuthority({ withUserInfo: true, withPort: true }));
  const target = fc.oneof(
    path,
    fc.tuple(authority, path).map(([host, at]) => `http://${host}${at}`),
    fc.tuple(authority, path).map(([host, at]) => `//${host}${at}`),
    authority,
  );
  const hosts = fc.array(authority, { maxLength: 2 });
  const version = fc.constantFrom('HTTP/1.1', 'HTTP/1.0', 'HTTP/0.9', 'HTTP/2');
  const property = fc.asyncProperty(method, target, hosts, version, async (verb, to, names, protocol) => {
    const lines = names.map((host) => `Host: ${host}`);
    const bytes = [`${verb} ${to} ${protocol}`, from(), ...lines, 'Content-Length: 0', '', ''].join('\r\n');
    for (const answer of await exchange(issuer, bytes, { end: true })) {
      check(answer);
      doesNotMatch(JSON.stringify(answer), new RegExp(mark, 'i'), 'the name comes back');
    }
  });
  await fc.assert(property, walk(60));
  checkLog(t);
});

function asBytes(value: string): string {
  return Buffer.from(value)
    .toString('latin1')
    .replace(/[\r\n]/g, '');
}

test('the port of those who run it answers /metrics and nothing else', async (t) => {
  const written = nasty.map((rest) => `/${encodeURIComponent(rest.replace(/\p{Cs}/gu, '?'))}`);
  const property = fc.asyncProperty(written, fc.constantFrom('GET', 'POST', 'DELETE'), async (url, verb) => {
    const answer = await issuer.app.adminServer?.inject({ method: verb, url });
    ok(answer !== undefined && [400, 404].includes(answer.statusCode), `${answer?.statusCode} ${url}`);
    await new Promise(setImmediate); // nothing else would have its turn
    checkGivesNothingAway(answer.payload);
  });
  await fc.assert(property, walk(60));
  const metrics = (await issuer.app.adminServer?.inject({ url: '/metrics' }))?.payload ?? '';
  doesNotMatch(metrics, new RegExp(mark), 'what was asked for makes no series');
  checkHoldsNone(secrets, metrics);
  t.match(metrics, /^keyturn_ready 1$/m);
});

test('memory stays where it is', async (t) => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const total = Number(process.env.FUZZ_REQUESTS ?? 6_000);

  /** So many bad requests, of which no two are the same. */
  async function send(count: number): Promise<number> {
    for (let sent = 0; sent < count; sent += 100) {
      const requests = Array.from({ length: 100 }, () => {
        const unique = `${mark}${asked}`;
        return [
          request(`GET /${unique}`, [from()]),
          request(`GET /authorize?client_id=${unique}&state=${unique}`, [from(), `Cookie: kt_session=${unique}`]),
          formRequest('/token', `grant_type=${unique}`, [from()]),
          formRequest('/token', `grant_type=refresh_token&refresh_token=e30.${unique}.e30`, [
            from(),
            `Authorization: ${walkers.app.basic}`,
          ]),
          formRequest('/token', 'grant_type=client_credentials', [
            from(),
            `Authorization: Basic ${btoa(`${unique}:x`)}`,
          ]),
          formRequest('/introspect', `token=${unique}`, [from(), `Authorization: ${walkers.app.basic}`]),
          request('GET /userinfo', [from(), `Authorization: Bearer ${unique}`]),
        ][asked % 7] as string;
      });
      const answers = await exchange(issuer, requests.join(''), { answers: requests.length });
      for (const { status } of answers) ok(status < 500, String(status));
      ok(answers.length === requests.length, `${answers.length} answers`);
      issuer.log.length = 0;
      issuer.statements.length = 0;
    }
    await new Promise(setImmediate);
    collectGarbage();
    return process.memoryUsage().heapUsed;
  }

  const before = await send(total / 3);
  const after = await send((total * 2) / 3);
  t.comment(
    `${total} requests: ${(before / 1e6).toFixed(1)} MB after a third, ${(after / 1e6).toFixed(1)} MB after all`,
  );
  t.ok(after - before < 6e6, `${after - before} bytes more after ${total} requests`);
});
