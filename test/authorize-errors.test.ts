import tap, { test } from 'tap';
import { createBrowser, outcomeOf } from './support/browser.ts';
import { createTestClock } from './support/clock.ts';
import { get, post, registerResource, startIssuer } from './support/issuer.ts';
import { authorizePath, newVerifier, obtainTokens, redirectUri, registerApp, registerUser } from './support/people.ts';

const issuer = await startIssuer(tap, { clock: createTestClock() });
await registerResource(issuer);
await registerUser(issuer);
const app = await registerApp(issuer, { skipConsent: true });
const { challenge } = newVerifier();
const browser = createBrowser(issuer);
const { json: tokens } = await obtainTokens(issuer, app, {}, browser);

type Changes = Record<string, string | undefined>;

const long = 'x'.repeat(2_001);

/** What is wrong with a request, by what the client is told. The first is the case's name. */
const faults: Record<string, [name: string, changes: Changes][]> = {
  invalid_request: [
    ['no response_type', { response_type: undefined }],
    ['an empty response_type counts as none', { response_type: '' }],
    ['an answer in the fragment', { response_mode: 'fragment' }],
    ['an answer by form', { response_mode: 'form_post' }],
    ['a response_mode that nobody knows', { response_mode: 'carrier pigeon' }],
    ['prompt none with another', { prompt: 'none login' }],
    ['prompt none at the end of the list', { prompt: 'login consent none' }],
    ['a prompt that nobody knows', { prompt: 'create' }],
    ['a prompt in capitals', { prompt: 'Login' }],
    ['no PKCE', { code_challenge: undefined, code_challenge_method: undefined }],
    ['a method without a challenge', { code_challenge: undefined }],
    ['a challenge without a method, which means plain', { code_challenge_method: undefined }],
    ['plain PKCE', { code_challenge_method: 'plain' }],
    ['S256 in small letters', { code_challenge_method: 's256' }],
    ['a short challenge', { code_challenge: challenge.slice(1) }],
    ['a long challenge', { code_challenge: `${challenge}A` }],
    ['a padded challenge', { code_challenge: `${challenge}=` }],
    ['a challenge with bits to spare', { code_challenge: `${challenge.slice(0, -1)}B` }],
    ['a challenge that is not base64url', { code_challenge: `+${challenge.slice(1)}` }],
    ['max_age below nothing', { max_age: '-1' }],
    ['max_age in parts of a second', { max_age: '1.5' }],
    ['max_age in words', { max_age: 'ten' }],
    ['max_age in other digits', { max_age: '１０' }],
    ['max_age with an exponent', { max_age: '1e3' }],
    ['max_age longer than a life', { max_age: '9999999999' }],
    ['a state that is too long', { state: long }],
    ['a nonce that is too long', { nonce: long }],
    ['a hint that is no token', { id_token_hint: 'garbage' }],
    ['a hint that looks like one', { id_token_hint: 'e30.e30.e30' }],
    ['a hint that is an access token', { id_token_hint: tokens.access_token }],
    ['a hint that somebody else signed', { id_token_hint: `${tokens.id_token.slice(0, -4)}AAAA` }],
    ['a hint without a signature', { id_token_hint: `${tokens.id_token.replace(/[^.]*$/, '')}` }],
    ['a hint that is bad, without a word to the person', { id_token_hint: 'garbage', prompt: 'none' }],
  ],
  unsupported_response_type: [
    ['the implicit grant', { response_type: 'token' }],
    ['an ID token from here', { response_type: 'id_token' }],
    ['the hybrid flow', { response_type: 'code id_token' }],
    ['the other hybrid flow', { response_type: 'token code' }],
    ['nothing at all', { response_type: 'none' }],
    ['code in capitals', { response_type: 'CODE' }],
  ],
  invalid_scope: [
    ['two spaces', { scope: 'openid  profile' }],
    ['a space first', { scope: ' openid' }],
    ['a space last', { scope: 'openid ' }],
    ['a quotation mark', { scope: 'openid pro"file' }],
    ['a backslash', { scope: 'openid pro\\file' }],
    ['letters beyond ASCII', { scope: 'openid prófile' }],
    ['nothing that is known', { scope: 'unknown another' }],
    ['nothing that the client may have', { scope: 'offline_access' }],
  ],
  invalid_target: [
    ['a resource that nobody knows', { resource: 'https://other.example' }],
    ['a resource with a fragment', { resource: 'https://orders.example#x' }],
    ['a resource that is no URI', { resource: 'orders' }],
    ['the second spelling of a resource', { resource: 'https://orders.example/' }],
  ],
  request_not_supported: [['a request object', { request: 'e30.e30.' }]],
  request_uri_not_supported: [['a request object elsewhere', { request_uri: 'https://app.example/request' }]],
  registration_not_supported: [['a client that registers itself', { registration: '{}' }]],
  login_required: [['no person to ask', { prompt: 'none' }]],
};

test('every error is told by redirect, with state as it came and iss (RFC 9207)', async (t) => {
  for (const [error, cases] of Object.entries(faults)) {
    for (const [name, changes] of cases) {
      const { status, headers } = await get(issuer, authorizePath(app.id, challenge, changes));
      t.equal(status, 303, `${error}: ${name}`);
      t.match(headers, { 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' });
      const told = new URL(String(headers.location));
      t.equal(told.origin + told.pathname, redirectUri);
      const { error_description, ...rest } = Object.fromEntries(told.searchParams);
      t.same(rest, { error, state: changes.state ?? 'the state', iss: issuer.issuer });
      t.match(error_description, /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/, 'and why, in plain ASCII (RFC 6749 §4.1.2.1)');
    }
  }
});

test('PKCE is asked of every public client, whatever is registered', async (t) => {
  const publicApp = await registerApp(issuer, { authMethod: 'none', secretDigests: [], pkceRequired: false });
  const without = { code_challenge: undefined, code_challenge_method: undefined };
  t.equal(outcomeOf(await browser.open(authorizePath(publicApp.id, challenge, without))), 'invalid_request');
});

test('a client without the grant type is told so', async (t) => {
  const machine = await registerApp(issuer, { grantTypes: ['client_credentials'] });
  t.equal(outcomeOf(await browser.open(authorizePath(machine.id, challenge))), 'unauthorized_client');
});

test('a repeated parameter is shown on a page, as nobody knows which one counts', async (t) => {
  const repeats = ['state=other', 'client_id=other', 'redirect_uri=https://evil.example', 'scope=openid', 'x=1&x=2'];
  for (const again of [...repeats, 'state=%ff', 'state=%00', 'state=a%0d%0ab']) {
    const { status, headers } = await get(issuer, `${authorizePath(app.id, challenge)}&${again}`);
    t.same({ status, leads: headers.location }, { status: 400, leads: undefined }, again);
    t.match(headers['content-type'], /^text\/html/);
  }
});

const states = [
  'a b+c%20d&e=f#g?h',
  '"><script>alert(1)</script>',
  'Zoë 🔑 \u202eevil',
  'x'.repeat(2_000),
  '%0d%0aSet-Cookie: a=b',
  ';,/:@$',
];

test('state comes back as it went, in an answer and in an error', async (t) => {
  for (const state of states) {
    for (const changes of [{ state }, { state, scope: 'unknown' }]) {
      const { left, html } = await browser.open(authorizePath(app.id, challenge, changes));
      t.equal(left?.searchParams.get('state'), state);
      t.same([...(left?.searchParams.keys() ?? [])].filter((key) => key === 'state').length, 1);
      t.equal(html, '', 'and stands nowhere else');
    }
  }
  const { left } = await browser.open(authorizePath(app.id, challenge, { state: undefined }));
  t.same([...(left?.searchParams.keys() ?? [])], ['code', 'iss'], 'none came, none goes');
});

test('what is unknown is ignored, and what is empty counts as absent', async (t) => {
  const known = {
    acr_values: 'urn:x',
    claims: '{"id_token":{"email":null}}',
    claims_locales: 'de',
    ui_locales: 'de en',
  };
  const displays = ['page', 'popup', 'wap', 'anything'].map((display) => ({ display }));
  const odd = { foo: 'bar', constructor: 'x', __proto__x: 'y', login_hint: '', prompt: '', max_age: '', request: '' };
  for (const changes of [known, ...displays, odd, { response_mode: 'query' }, { scope: 'profile openid unknown' }]) {
    t.equal(outcomeOf(await browser.open(authorizePath(app.id, challenge, changes))), 'code', JSON.stringify(changes));
  }
});

test('a POST goes on as a GET of our own, so that the cookies come along (Core §3.1.2.1)', async (t) => {
  const path = authorizePath(app.id, challenge, { state: 'a b+c&d' });
  const query = path.slice(path.indexOf('?') + 1);
  const foreign = { origin: 'https://app.example', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
  const { status, headers } = await post(issuer, '/authorize', query, foreign);
  t.same({ status, location: headers.location }, { status: 303, location: `${issuer.issuer}/authorize?${query}` });
  t.notOk(headers['set-cookie']);
  t.match(headers, { 'cache-control': 'no-store' });

  const { left } = await browser.post('/authorize', Object.fromEntries(new URLSearchParams(query)), foreign);
  t.ok(left?.searchParams.get('code'));
  t.equal(left?.searchParams.get('state'), 'a b+c&d');
  const wrong = await browser.post('/authorize', { client_id: app.id, redirect_uri: redirectUri });
  t.equal(outcomeOf(wrong), 'invalid_request');
});

test('a POST that cannot become a GET is refused on a page', async (t) => {
  for (const body of [
    `client_id=${'x'.repeat(9_000)}`,
    'client_id=a&client_id=b',
    'client_id=%ff',
    'client_id=\u00e9',
  ]) {
    const { status, headers } = await post(issuer, '/authorize', body);
    t.same({ status, leads: headers.location }, { status: 400, leads: undefined });
  }
});

test('a request that is in no order writes nothing into the database', async (t) => {
  const written = () => issuer.statements.filter((text) => /INSERT INTO (interaction|"grant")/.test(text)).length;
  const before = written();
  for (const [, changes] of Object.values(faults).flat()) await get(issuer, authorizePath(app.id, challenge, changes));
  t.equal(written(), before);
});

test('a page about a parameter names it as it is written, and the log has the request by the same reference', async (t) => {
  const { html } = await browser.open(authorizePath(app.id, challenge, { redirect_uri: `${redirectUri}/` }));
  t.match(html, /<bdi>redirect_uri is not one that the client has registered\.</);
  const reference = /mention <code>([^<]+)</.exec(html)?.[1];
  t.match(
    issuer.log.filter(({ reqId, level }) => reqId === reference && level === 30),
    [{ error: 'invalid_request', says: 'redirect_uri is not one that the client has registered' }],
  );
});
