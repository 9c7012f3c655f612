import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import jsonwebtoken from 'jsonwebtoken';
import jwksClient from 'jwks-rsa';
import { t as file, test } from 'tap';
import { algorithms } from '../src/crypto/algorithms.ts';
import { createTestClock } from './support/clock.ts';
import { get, orders, post, registerClient, registerResource, startIssuer } from './support/issuer.ts';
import { keyturn } from './support/process.ts';
import { execute } from './support/run.ts';

const clock = createTestClock(Math.floor(Date.now() / 1000));
const issuer = await startIssuer(file, { clock, listen: true });
await registerResource(issuer);
const { basic } = await registerClient(issuer);
const env = { DATABASE_URL: issuer.databaseUrl, KEYS_DIR: issuer.keysDir };
const lead = 1206;

async function token(): Promise<string> {
  const { json } = await post(issuer, '/token', 'grant_type=client_credentials', { authorization: basic });
  return json.access_token;
}

/** Whether the issuer itself knows a token as good. */
async function isActive(text: string): Promise<boolean> {
  return (await post(issuer, '/introspect', { token: text }, { authorization: basic })).json.active;
}

async function choose(alg: string) {
  const ended = await keyturn(env, 'resource', 'update', orders.identifier, '--alg', alg);
  await issuer.app.refresh();
  return ended;
}

/** Verifiers that have been running all the time, and may not fetch again. */
function createVerifiers() {
  const jwksUri = new URL(`${issuer.issuer}/.well-known/jwks.json`);
  const remote = createRemoteJWKSet(jwksUri, { cooldownDuration: 600_000 });
  const rsa = jwksClient({ jwksUri: jwksUri.href, cache: true, cacheMaxAge: 600_000 });
  return async (text: string) => {
    const currentDate = new Date(clock.now() * 1000);
    await jwtVerify(text, remote, { issuer: issuer.issuer, audience: orders.identifier, currentDate });
    const { kid, alg = '' } = decodeProtectedHeader(text);
    // jsonwebtoken knows no Ed25519, and no ML-DSA.
    if (/^[ERP]S256$/.test(alg)) {
      const key = await rsa.getSigningKey(kid);
      jsonwebtoken.verify(text, key.getPublicKey(), { algorithms: ['ES256', 'RS256', 'PS256'] });
    }
  };
}

test('a resource service goes from ES256 to RS256 and back, and no verifier has to fetch', async (t) => {
  const verify = createVerifiers();
  const tokens: string[] = [];
  for (const alg of ['ES256', 'RS256', 'ES256']) {
    t.equal((await choose(alg)).code, 0);
    const issued = await token();
    t.equal(decodeProtectedHeader(issued).alg, alg);
    tokens.push(issued);
    for (const text of tokens) await t.resolves(verify(text), `while it is ${alg}`);
    t.ok(await isActive(issued));
  }
});

test('the issuer knows every ES256 signature of its own, and none that was touched', async (t) => {
  const flipped = (bytes: Buffer, at: number) =>
    Buffer.from(bytes.map((byte, index) => (index === at ? byte ^ 1 : byte)));
  const zeros = Buffer.alloc(32);
  // One in 256 of r and of s begins with a zero, half of them with a bit that DER takes for a sign.
  for (let time = 0; time < 150; time += 1) {
    const text = await token();
    const dot = text.lastIndexOf('.');
    const signature = Buffer.from(text.slice(dot + 1), 'base64url');
    if (!(await isActive(text))) t.fail(text);
    const [r, s] = [signature.subarray(0, 32), signature.subarray(32)];
    const forged = [
      flipped(signature, time % 64),
      Buffer.concat([s, r]),
      Buffer.concat([zeros, s]),
      Buffer.concat([r, zeros]),
      Buffer.alloc(64, 0xff),
      signature.subarray(0, 63),
      Buffer.concat([signature, zeros]),
      Buffer.alloc(0),
    ];
    const other = forged[time % forged.length] as Buffer;
    if (await isActive(`${text.slice(0, dot)}.${other.toString('base64url')}`)) t.fail(`${time}: ${text}`);
  }
  t.pass();
});

test('other algorithms have no keys before they are added', async (t) => {
  const { json } = await get(issuer, '/.well-known/jwks.json');
  t.same([...new Set(json.keys.map(({ alg }: { alg: string }) => alg))], ['ES256', 'RS256']);
  for (const alg of [...algorithms.keys()].filter((name) => !/^[ER]S256$/.test(name))) {
    const refused = await choose(alg);
    t.same(
      { code: refused.code, stderr: refused.stderr },
      {
        code: 2,
        stderr: `keyturn: ${alg} has no keys yet: keyturn keys add-algorithm ${alg}\n`,
      },
    );
  }
  t.match(await keyturn(env, 'keys', 'add-algorithm', 'EdDSA'), {
    code: 2,
    stderr: /Allowed: ES256, RS256, PS256, Ed25519/,
  });
  t.match(await keyturn(env, 'keys', 'add-algorithm', 'ES256'), { code: 2, stderr: /has keys already/ });
});

for (const alg of [...algorithms.keys()].filter((name) => !/^[ER]S256$/.test(name))) {
  test(`${alg} is published for as long as caches live before it signs`, async (t) => {
    const before = await token();
    const added = await keyturn(env, 'keys', 'add-algorithm', alg, '--json');
    t.equal(added.code, 0, added.stderr);
    await issuer.app.refresh();
    const ofAlg = async () => {
      const { json } = await get(issuer, '/.well-known/jwks.json');
      return json.keys.filter((key: { alg: string }) => key.alg === alg);
    };
    t.equal((await ofAlg()).length, 1, 'published at once');
    const verify = createVerifiers();
    await verify(before);
    const early = await choose(alg);
    t.match(early, { code: 1, stderr: new RegExp(`^keyturn: no ${alg} key signs yet: .*\\(in (19|20) min`) });
    t.match(await keyturn(env, 'keys', 'add-algorithm', alg), { code: 2, stderr: /has keys already/ });
    await issuer.app.refresh();
    t.equal((await ofAlg()).length, 1, 'the rotator waits too');
    t.not(decodeProtectedHeader(await token()).alg, alg);

    // As if that time had passed.
    clock.set(Math.floor(Date.now() / 1000) + 1);
    const earlier = `created_at = created_at - interval '${lead} s', signs_from = signs_from - interval '${lead} s'`;
    await execute(issuer.databaseUrl, `UPDATE signing_key SET ${earlier} WHERE alg = '${alg}'`);
    await execute(issuer.databaseUrl, `INSERT INTO change (kind, name) VALUES ('signing_key', '')`);
    await issuer.app.refresh();
    t.equal((await ofAlg()).length, 2, 'a standby is made once it signs');
    t.equal((await choose(alg)).code, 0);
    const after = await token();
    t.equal(decodeProtectedHeader(after).alg, alg);
    t.ok(await isActive(after), 'to the issuer too');
    for (const text of [before, after]) await t.resolves(verify(text), 'known to who has fetched meanwhile');
    const rotated = await keyturn(env, 'keys', 'rotate', '--dry-run');
    t.match(rotated.stdout, `${alg}: `);
    t.equal((await choose('ES256')).code, 0);
    for (const text of [before, after, await token()]) await t.resolves(verify(text));
  });
}
