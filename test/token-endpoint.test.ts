import { createLocalJWKSet, decodeProtectedHeader, type JWTVerifyOptions, jwtVerify } from 'jose';
import tap, { test } from 'tap';
import { accessTokenPayload } from '../src/tokens/claims.ts';
import { createTestClock } from './support/clock.ts';
import { watchCrypto } from './support/crypto-calls.ts';
import {
  type Answer,
  background,
  basic,
  get,
  orders,
  post,
  registerClient,
  registerResource,
  startIssuer,
} from './support/issuer.ts';

const clock = createTestClock();
const issuer = await startIssuer(tap, { clock, settings: { ACCESS_TOKEN_TTL: '300' } });
const reports = {
  ...orders,
  identifier: 'https://reports.example',
  alg: 'RS256',
  accessTtl: 120,
  scopes: { 'reports:read': '' },
};
for (const resource of [orders, reports]) await registerResource(issuer, resource);
const client = await registerClient(issuer, {
  resources: [orders.identifier, reports.identifier],
  scopes: ['orders:read', 'orders:write', 'reports:read', 'nobodys'],
});

async function ask(form: Record<string, string> | string = {}, by: { basic: string } = client): Promise<Answer> {
  const grant = 'grant_type=client_credentials&';
  const rest = typeof form === 'string' ? form : new URLSearchParams(form).toString();
  return post(issuer, '/token', grant + rest, { authorization: by.basic });
}

/** Header and claims of the token in an answer, once plain jose has verified it with the published keys. */
async function verified({ json }: Answer, options: JWTVerifyOptions = {}) {
  const keys = createLocalJWKSet((await get(issuer, '/.well-known/jwks.json')).json);
  const currentDate = new Date(clock.now() * 1000);
  const { protectedHeader, payload } = await jwtVerify(json.access_token, keys, { currentDate, ...options });
  return { header: protectedHeader, claims: payload };
}

test('the answer says the token, its type, its life and its scope, and nothing else', async (t) => {
  const { status, headers, json } = await ask();
  t.equal(status, 200);
  t.match(headers['content-type'], /^application\/json/);
  t.same(Object.keys(json).sort(), ['access_token', 'expires_in', 'scope', 'token_type']);
  t.equal(json.token_type, 'Bearer');
  t.equal(json.refresh_token, undefined, 'client_credentials gives no refresh token');
});

test('an access token has the header and the claims of RFC 9068 and no others', async (t) => {
  const answer = await ask({ scope: 'orders:read' });
  const { header, claims } = await verified(answer, {
    issuer: issuer.issuer,
    audience: orders.identifier,
    typ: 'at+jwt',
  });
  const { json } = await get(issuer, '/.well-known/jwks.json');
  const { kid } = json.keys.find(({ kid, alg }: { kid: string; alg: string }) => kid === header.kid && alg === 'ES256');
  t.strictSame(header, { alg: 'ES256', typ: 'at+jwt', kid });
  const { jti, ...rest } = claims;
  t.match(jti, /^[\w-]{20,}$/);
  t.strictSame(rest, {
    iss: issuer.issuer,
    sub: client.id,
    aud: orders.identifier,
    client_id: client.id,
    iat: clock.now(),
    exp: clock.now() + 300,
    scope: 'orders:read',
  });
});

test('a token is not accepted as another kind of token, or by another audience', async (t) => {
  const answer = await ask();
  await t.rejects(verified(answer, { typ: 'JWT' }), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' });
  await t.rejects(verified(answer, { audience: reports.identifier }), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' });
});

test('nothing that is not in the list of claims gets into a token', async (t) => {
  const claims = {
    iss: 'i',
    sub: 's',
    aud: 'a',
    client_id: 'c',
    iat: 1,
    exp: 2,
    jti: 'j',
    scope: 'x',
    client_epoch: 1,
  };
  const inherited = Object.create({ inherited: 'no' });
  const more = Object.assign(inherited, claims, { email: 'no', toJSON: () => 'no', [Symbol('no')]: 'no' });
  t.strictSame(JSON.parse(JSON.stringify(accessTokenPayload(more))), claims);
});

test('parameters that are named like claims do not become claims', async (t) => {
  const forged = {
    sub: 'admin',
    iss: 'https://evil.example',
    aud: 'x',
    exp: '9999999999',
    roles: 'admin',
    client_epoch: '9',
  };
  const { claims } = await verified(await ask(forged));
  t.same(Object.keys(claims).sort(), ['aud', 'client_id', 'exp', 'iat', 'iss', 'jti', 'scope', 'sub']);
  t.match(claims, { iss: issuer.issuer, sub: client.id, aud: orders.identifier, exp: clock.now() + 300 });
});

test('the epoch of a client is in its tokens from the first raise on', async (t) => {
  const { claims } = await verified(await ask({}, await registerClient(issuer, { epoch: 3 })));
  t.equal(claims.client_epoch, 3);
});

test('a resource chooses the algorithm and the life of its tokens', async (t) => {
  const answer = await ask({ resource: reports.identifier });
  const { header, claims } = await verified(answer, { audience: reports.identifier, algorithms: ['RS256'] });
  t.equal(header.alg, 'RS256');
  t.equal(answer.json.expires_in, 120);
  t.equal(claims.exp, clock.now() + 120);
  t.equal((await ask()).json.expires_in, 300, 'the default of the issuer, where the resource says nothing');
});

test('every token has a jti of its own', async (t) => {
  const answers = await Promise.all(Array.from({ length: 50 }, () => ask()));
  const ids = await Promise.all(answers.map(async (answer) => (await verified(answer)).claims.jti));
  t.equal(new Set(ids).size, 50);
});

test('without a scope parameter a token gets all that is granted and known to the resource', async (t) => {
  const answer = await ask();
  t.equal(answer.json.scope, 'orders:read orders:write');
  t.equal((await verified(answer)).claims.scope, 'orders:read orders:write');
  t.equal((await ask({ resource: reports.identifier })).json.scope, 'reports:read');
});

test('a token gets what is granted, asked for and known to the resource', async (t) => {
  for (const [scope, given] of [
    ['orders:write', 'orders:write'],
    ['orders:write orders:read', 'orders:read orders:write'],
    ['orders:read orders:read', 'orders:read'],
    ['orders:read unheard-of', 'orders:read'],
    ['orders:read nobodys', 'orders:read'], // granted, unknown to the resource
    ['orders:read reports:read', 'orders:read'], // granted, another resource's
  ] as const) {
    const answer = await ask({ scope });
    t.equal(answer.json.scope, given, scope);
    t.equal((await verified(answer)).claims.scope, given, scope);
  }
});

test('where nothing of the scope asked for is left, the answer is invalid_scope', async (t) => {
  for (const scope of ['unheard-of', 'nobodys', 'reports:read', 'ORDERS:READ', '__proto__', 'constructor toString']) {
    const { status, json } = await ask({ scope });
    t.equal(status, 400, scope);
    t.equal(json.error, 'invalid_scope', scope);
  }
});

test('a malformed scope is invalid_scope', async (t) => {
  for (const scope of [
    ' orders:read',
    'orders:read ',
    'orders:read  orders:write',
    'orders:read "',
    'a\\b',
    'orders:read é',
    ' ',
  ]) {
    const { status, json } = await ask({ scope });
    t.equal(status, 400, JSON.stringify(scope));
    t.equal(json.error, 'invalid_scope', JSON.stringify(scope));
  }
});

test('a client without scopes gets tokens that say nothing of scope', async (t) => {
  const answer = await ask({}, await registerClient(issuer, { scopes: [] }));
  t.equal(answer.status, 200);
  t.notOk('scope' in answer.json);
  t.notOk('scope' in (await verified(answer)).claims);
});

test('the audience is the resource asked for, else the first of the client', async (t) => {
  t.equal((await verified(await ask())).claims.aud, orders.identifier);
  t.equal((await verified(await ask({ resource: reports.identifier }))).claims.aud, reports.identifier);
  const again = await ask(`resource=${encodeURIComponent(reports.identifier)}&resource=https://reports.example`);
  t.equal((await verified(again)).claims.aud, reports.identifier, 'the same resource twice is one resource');
  const second = await registerClient(issuer, { resources: [reports.identifier, orders.identifier], scopes: [] });
  t.equal((await verified(await ask({}, second))).claims.aud, reports.identifier);
});

test('a resource that is unknown, not allowed, not alone or spelled otherwise is invalid_target', async (t) => {
  const resources = {
    unknown: 'resource=https://unknown.example',
    'two different': 'resource=https://orders.example&resource=https://reports.example',
    'one of two unknown': 'resource=https://orders.example&resource=https://unknown.example',
    fragment: 'resource=https://orders.example%23top',
    'final slash': 'resource=https://orders.example/',
    'capital letters': 'resource=HTTPS://orders.example',
    relative: 'resource=orders',
    'name of a property': 'resource=__proto__',
  };
  for (const [what, form] of Object.entries(resources)) {
    const { status, json } = await ask(form);
    t.equal(status, 400, what);
    t.equal(json.error, 'invalid_target', what);
  }
  const others = await registerClient(issuer);
  t.equal((await ask({ resource: reports.identifier }, others)).json.error, 'invalid_target', 'not allowed');
});

test('a client of a resource that is gone gets no token', async (t) => {
  const { status, json } = await ask({}, await registerClient(issuer, { resources: ['https://gone.example'] }));
  t.equal(status, 400);
  t.equal(json.error, 'invalid_target');
});

test('issuing asks the database nothing and makes one signature for each token', async (t) => {
  const signatures = watchCrypto(t, 'sign');
  const before = issuer.statements.length;
  const wrong = { basic: basic(client.id, 'wrong') };
  const unknown = { basic: basic('nobody', 'wrong') };
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, index) => {
      const resource = index % 10 === 0 ? reports.identifier : orders.identifier;
      return ask({ resource }, index % 4 === 1 ? wrong : index % 4 === 3 ? unknown : client);
    }),
  );
  const tokens = answers.filter(({ status }) => status === 200).map(({ json }) => json.access_token);
  t.equal(tokens.length, 100);
  t.equal(new Set(tokens).size, 100);
  t.equal(tokens.filter((token) => decodeProtectedHeader(token).alg === 'RS256').length, 20);
  t.equal(signatures.length, 100);
  const asked = issuer.statements.slice(before).filter((text) => !background.test(text));
  t.same(asked, []);
});
