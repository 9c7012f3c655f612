import fc from 'fast-check';
import { decodeJwt } from 'jose';
import { test } from 'tap';
import { clientDefaults } from '../src/protocol/client.ts';
import type { Authorization, Behind, Target } from '../src/tokens/authorization.ts';
import * as claims from '../src/tokens/claims.ts';
import { createMint } from '../src/tokens/mint.ts';
import { createBrowser } from './support/browser.ts';
import { get, orders, registerResource, startIssuer } from './support/issuer.ts';
import { obtainTokens, redirectUri, registerApp, registerUser } from './support/people.ts';

/** All that may ever stand in a token of each type: whoever adds a claim adds it here, and says why it is no secret. */
const allowed = {
  'at+jwt': `iss sub aud client_id iat exp jti scope auth_time amr roles permissions gid sub_epoch client_epoch csrf`,
  JWT: `iss sub aud iat exp auth_time nonce amr sid`,
  'rt+jwt': `iss sub aud client_id iat exp gid gen csrf`,
  'logout+jwt': `iss sub aud iat exp jti sid events`,
} as const;

const claimsOf = (typ: string) => new Set(allowed[typ as keyof typeof allowed].split(' '));

/** What must not come along. No claim of ours holds it. */
const marker = 'leaked-by-accident';

/** Properties that a row might have one day, or that somebody hands on without thinking. */
const extras = fc.dictionary(
  fc.oneof(
    fc.string({ minLength: 1 }),
    fc.constantFrom('email', 'passwordHash', 'password_hash', 'name', 'secretDigests', 'ip', 'toJSON', '__proto__'),
  ),
  fc.constantFrom(marker, [marker], { nested: marker }),
);

test('of an object that has more, the listed claims alone are signed', async (t) => {
  const payloads = {
    'at+jwt': claims.accessTokenPayload,
    JWT: claims.idTokenPayload,
    'rt+jwt': claims.refreshTokenPayload,
    'logout+jwt': claims.logoutTokenPayload,
  } as const;
  for (const [typ, payload] of Object.entries(payloads)) {
    const whole = Object.fromEntries(
      [...claimsOf(typ), 'email', 'passwordHash', 'toJSON', marker].map((name) => [name, name]),
    );
    t.same(Object.keys(payload(whole as never)).sort(), [...claimsOf(typ)].sort(), typ);
  }
});

test('no property of any row gets into a token but the claims that are listed', async (t) => {
  const minted: { typ: string; payload: Record<string, unknown> }[] = [];
  const keyring = {
    sign: async (_alg: string, typ: string, claims: object) => {
      minted.push({ typ, payload: JSON.parse(JSON.stringify(claims)) });
      return 'signed';
    },
  } as unknown as Parameters<typeof createMint>[0]['keyring'];
  const options = { issuer: 'https://id.example', keyring, accessTokenTtl: 600, now: () => 1, permissionsOf: () => [] };
  const mint = createMint(options);

  await fc.assert(
    fc.asyncProperty(fc.array(extras, { minLength: 7, maxLength: 7 }), fc.boolean(), async (extra, plain) => {
      const [onClient, onGrant, onBehind, onAuthorization, onTarget, onResource, onSignOut] = extra;
      const client = {
        ...onClient,
        ...clientDefaults,
        id: 'client_1',
        name: marker,
        secretDigests: [marker],
        epoch: 2,
      };
      const grant = {
        ...onGrant,
        id: marker,
        userId: 'user_1',
        clientId: 'client_1',
        sessionId: null,
        sid: 'session_1',
        scope: ['openid'],
        resources: [],
        authTime: 1,
        amr: ['pwd'],
        userEpoch: 0,
        clientEpoch: 0,
        nonce: plain ? null : 'n',
      };
      const refresh = { generation: 1, expiresAt: 2 };
      const behind: Behind = { ...onBehind, grant, epoch: 3, roles: ['clerk'], refresh };
      const authorization: Authorization = {
        ...onAuthorization,
        client,
        subject: 'user_1',
        scope: ['openid'],
        resources: [],
        ...(plain ? {} : { behind }),
      };
      const scope = ['openid', 'roles', 'permissions'];
      const target: Target = {
        ...onTarget,
        resource: plain ? undefined : { ...onResource, ...orders },
        alg: 'ES256',
        accessTtl: undefined,
        scope,
      };
      minted.length = 0;
      await mint.accessToken(authorization, target);
      await mint.idToken(authorization, behind);
      const signOut = { ...onSignOut, clientId: 'client_1', alg: 'RS256', subject: 'user_1', sid: undefined };
      await mint.logoutToken(signOut);
      for (const { typ, payload } of minted) {
        for (const name of Object.keys(payload)) if (!claimsOf(typ).has(name)) throw new Error(`${name} in ${typ}`);
        if (JSON.stringify(payload).includes(marker)) throw new Error(`something of a row in ${typ}`);
      }
      minted.length = 0;
      await mint.refreshToken(authorization, behind, refresh);
      const [{ payload } = { payload: {} }] = minted;
      for (const name of Object.keys(payload)) if (!claimsOf('rt+jwt').has(name)) throw new Error(name);
      if (JSON.stringify({ ...payload, gid: '' }).includes(marker)) throw new Error('something of a row');
    }),
  );
  t.pass('in a hundred tries');
});

test('neither an e-mail address, nor a hash, nor a column that nobody knows yet comes with a token', async (t) => {
  const issuer = await startIssuer(t);
  await registerUser(issuer, { email: 'before@example.org' });
  const old = await registerApp(issuer, { resources: [] });
  t.equal((await obtainTokens(issuer, old, {}, createBrowser(issuer), 'before@example.org')).status, 200);
  // A later version may add columns while this one runs: statements that are prepared go on working.
  for (const table of ['"user"', '"grant"', 'session', 'client', 'interaction', 'consent', 'resource']) {
    await issuer.database.query(`ALTER TABLE ${table} ADD COLUMN social_security text DEFAULT '${marker}'`);
  }
  await registerResource(issuer, { scopes: { roles: '', permissions: '', 'orders:read': '' } });
  const user = await registerUser(issuer, { roles: ['clerk'] });
  const scopes = ['openid', 'profile', 'email', 'offline_access', 'roles', 'permissions', 'orders:read'];
  const app = await registerApp(issuer, { scopes, grantTypes: ['authorization_code', 'refresh_token'] });
  const { json } = await obtainTokens(issuer, app, { scope: scopes.join(' ') }, createBrowser(issuer));
  const [row] = await issuer.database.query<{ password_hash: string }>('SELECT password_hash FROM "user" LIMIT 1');
  const secrets = [marker, user.email, user.name, row?.password_hash, app.secret, redirectUri, '$argon2'];
  const types = { access_token: 'at+jwt', id_token: 'JWT', refresh_token: 'rt+jwt' };
  for (const [name, typ] of Object.entries(types)) {
    const payload = decodeJwt(json[name]);
    for (const claim of Object.keys(payload)) t.ok(claimsOf(typ).has(claim), `${claim} in ${typ}`);
    for (const secret of secrets) t.notOk(JSON.stringify(payload).includes(String(secret)), `${secret} in ${typ}`);
  }
  const { status, json: info } = await get(issuer, '/userinfo', { authorization: `Bearer ${json.access_token}` });
  t.equal(status, 200);
  t.same(Object.keys(info).sort(), ['email', 'email_verified', 'name', 'sub'], 'and userinfo says what its scopes say');
});
