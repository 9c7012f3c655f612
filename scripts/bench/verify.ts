/**
 * `npm run bench:verify [-- --json]`: what verifying a token costs a service that knows 100,000 revocations, beside jose
 * with the key at hand, in one process and in turns. Exit code 1 if a good token was refused; a missed target is said, and
 * is no failure.
 */
import { KeyObject, randomUUID, verify as verifySignature, type webcrypto } from 'node:crypto';
import { cpus } from 'node:os';
import { createVerifier, revocationDigest } from '@keyturn/verifier';
import { createDenylist } from '@keyturn/verifier/denylist';
import { exportJWK, generateKeyPair, type JWK, jwtVerify, SignJWT } from 'jose';
import { bytesInUse } from './memory.ts';
import { renderTargets, type Target } from './report.ts';
import { median } from './rounds.ts';

const issuer = 'https://id.example';
const audience = 'https://orders.example';
const revocations = 100_000;
const users = 1_000;
const rounds = 60;
/** Tokens that a service has in hand at once. */
const together = 25;
const flag = process.argv[2];
if (flag !== undefined && flag !== '--json') {
  process.stderr.write('usage: npm run bench:verify [-- --json]\n');
  process.exit(2);
}

const now = Math.floor(Date.now() / 1000);
const { publicKey, privateKey } = await generateKeyPair('ES256');
const jwk: JWK = { ...(await exportJWK(publicKey)), kid: 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs', alg: 'ES256' };
const tokens = await Promise.all(
  Array.from({ length: 1_000 }, (_, index) =>
    new SignJWT({
      iss: issuer,
      sub: `user_${index % users}abcdefghijklmn`,
      aud: audience,
      client_id: 'client_caeui49wzfdkv6b4',
      iat: now,
      exp: now + 3_600,
      jti: randomUUID(),
      scope: 'openid orders:read orders:write',
      auth_time: now,
      amr: ['pwd'],
      gid: revocationDigest('grant', String(index)),
    })
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: jwk.kid as string })
      .sign(privateKey),
  ),
);

/** Most revocations are of tokens and grants; one in ten is of a user. */
function entries(): [digest: string, expiresAt: number, epochBelow?: number][] {
  return Array.from({ length: revocations }, (_, index) =>
    index % 10 === 0
      ? [revocationDigest('sub', String(index)), now + 3_600, 1]
      : [revocationDigest('jti', String(index)), now + 3_600],
  );
}

/** Stands in for the issuer. */
const answer: typeof fetch = async (input) => {
  const { pathname } = new URL(String(input));
  const asOf = Date.now() / 1000;
  const [endpoint, stream] = [`${issuer}/revocations`, `${issuer}/revocations/stream`];
  const event = `id: 0000000000000000-1\nevent: revocations\ndata: ${JSON.stringify({ asOf, sentAt: asOf, entries: [] })}\n\n`;
  const bodies: Record<string, () => string | ReadableStream> = {
    '/.well-known/openid-configuration': () =>
      JSON.stringify({
        issuer,
        jwks_uri: `${issuer}/jwks`,
        revocations_endpoint: endpoint,
        revocations_stream_endpoint: stream,
      }),
    '/jwks': () => JSON.stringify({ keys: [jwk] }),
    '/revocations': () => JSON.stringify({ issuer, id: '0000000000000000-1', entries: entries() }),
    '/revocations/stream': () =>
      new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(event)) }),
  };
  const headers = { 'revocations-as-of': String(asOf), date: new Date().toUTCString() };
  const type = pathname.endsWith('stream') ? 'text/event-stream' : 'application/json';
  return new Response(bodies[pathname]?.() ?? null, { headers: { ...headers, 'content-type': type } });
};

/** Microseconds of processor time, of all threads, for each token: what else the machine does is not in it. */
async function perToken(work: () => unknown): Promise<number> {
  const begun = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / tokens.length;
}

/** As a service that has several requests at once. */
async function verifyAll(verify: (token: string) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < tokens.length; at += together) await Promise.all(tokens.slice(at, at + together).map(verify));
}

function expect(good: boolean): void {
  if (!good) throw new Error('a good token was refused');
}

const before = await bytesInUse();
const verifier = createVerifier({ issuer, audience, fetch: answer });
await verifier.ready();
const bytes = (await bytesInUse()) - before;
if (verifier.status().revocations.entries !== revocations) throw new Error('not all revocations were taken in');

const bareOptions = { issuer, audience, typ: 'at+jwt', algorithms: ['ES256'] };
const ours: number[] = [];
const bare: number[] = [];
for (let round = 0; round < rounds; round += 1) {
  const turns = [
    async () => ours.push(await perToken(() => verifyAll((token) => verifier.verify(token)))),
    async () => bare.push(await perToken(() => verifyAll((token) => jwtVerify(token, publicKey, bareOptions)))),
  ];
  // Who goes first may find the machine slower.
  for (const turn of round % 2 === 0 ? turns : turns.reverse()) await turn();
}

/** The two parts of the work by themselves, without what is around them. */
const denylist = createDenylist();
denylist.add(entries().map(([digest, expiresAt, epochBelow = null]) => ({ digest, expiresAt, epochBelow })));
const claims = await Promise.all(tokens.map((token) => verifier.verify(token)));
const signed = tokens.map((token) => {
  const end = token.lastIndexOf('.');
  return { text: Buffer.from(token.slice(0, end)), signature: Buffer.from(token.slice(end + 1), 'base64url') };
});
const ecKey = { key: KeyObject.from(publicKey as webcrypto.CryptoKey), dsaEncoding: 'ieee-p1363' as const };
const checks: number[] = [];
const signatures: number[] = [];
for (let round = 0; round < rounds; round += 1) {
  const isGood = claims.map((token) => () => !denylist.isVoid(jwk.kid as string, token));
  const isSigned = signed.map(
    ({ text, signature }) =>
      () =>
        verifySignature('sha256', text, ecKey, signature),
  );
  checks.push(await perToken(() => expect(isGood.every((check) => check()))));
  signatures.push(await perToken(() => expect(isSigned.every((check) => check()))));
}
await verifier.close();

const ratio = median(ours.map((time, round) => (bare[round] ?? Number.NaN) / time));
const share = median(checks) / median(signatures);
const targets: Target[] = [
  {
    name: 'verify() ÷ bare jwtVerify, tokens per second of processor',
    wanted: 'at least',
    limit: 0.95,
    measured: ratio,
  },
  { name: 'revocation check ÷ signature check, %', wanted: 'at most', limit: 3, measured: share * 100 },
  { name: `memory of ${revocations} revocations, MB`, wanted: 'at most', limit: 30, measured: bytes / 1e6 },
];
const figures = {
  verify: median(ours),
  bare: median(bare),
  revocationCheck: median(checks),
  signatureCheck: median(signatures),
};
const takenAt = new Date().toISOString().slice(0, 10);
if (flag === '--json') process.stdout.write(`${JSON.stringify({ takenAt, figures, targets }, null, 2)}\n`);
else {
  const [a, b, c, d] = Object.values(figures).map((time) => time.toFixed(2));
  process.stdout.write(
    [
      `${takenAt}, ${cpus()[0]?.model.trim()}, ${cpus().length} cores, Node ${process.version}; ES256, ${together} tokens at once`,
      `µs of processor time per token, medians of ${rounds} rounds: verify() ${a}, bare jwtVerify ${b}; revocation check ${c}, signature check ${d}`,
      '',
      ...renderTargets(targets),
      '',
    ].join('\n'),
  );
}
