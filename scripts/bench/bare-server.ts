/**
 * What the issuer is measured against: fastify doing a token request's work (a form, the client's secret, one ES256
 * signature, the same answer), the JWKS's and that of verifying a password, and nothing else. As quick as one would write
 * it by hand, with no log.
 *
 * `node bare-server.js --inline|--batched <what to serve, as JSON>`
 */
import { createPrivateKey, hash, type JsonWebKey, randomUUID, sign, timingSafeEqual } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { parse } from 'node:querystring';
import Fastify, { type FastifyReply } from 'fastify';
import { createPasswords, hashingLimits } from '../../src/crypto/password.ts';

/** What both servers are to serve: what the issuer was seen to serve. */
export interface BareOptions {
  readonly port: number;
  readonly privateJwk: JsonWebKey;
  /** The header of every token. */
  readonly header: object;
  readonly issuer: string;
  readonly audience: string;
  readonly scope: string;
  readonly client: { readonly id: string; readonly secret: string };
  /** Of a token response, but for what fastify writes by itself. */
  readonly tokenHeaders: Record<string, string>;
  readonly jwks: { readonly body: string; readonly headers: Record<string, string> };
  /** Of the password that comes to `/password`. */
  readonly passwordHash: string;
}

const [mode, json = ''] = process.argv.slice(2);
const { port, privateJwk, header, issuer, audience, scope, client, tokenHeaders, jwks, passwordHash } = JSON.parse(
  json,
) as BareOptions;

const key = createPrivateKey({ key: privateJwk, format: 'jwk' });
const encodedHeader = Buffer.from(JSON.stringify(header)).toString('base64url');
const digests = new Map([[client.id, hash('sha256', client.secret, 'buffer')]]);
const lifetime = 600;

/** DER holds two integers, each perhaps longer than 32 bytes by a zero, or shorter. Node 24 takes twice as long by itself. */
function signature(input: string): string {
  const der = sign('sha256', Buffer.from(input), key);
  const end = 4 + (der[3] as number);
  const joined = Buffer.alloc(64);
  for (const [integer, at] of [
    [der.subarray(4, end), 32],
    [der.subarray(end + 2), 64],
  ] as const) {
    integer.subarray(-32).copy(joined, at - Math.min(integer.length, 32));
  }
  return joined.toString('base64url');
}

let waiting: { input: string; resolve: (signature: string) => void }[] = [];

/** Collects what one turn of the event loop brings, and signs it back to back. */
function signInBatch(input: string): Promise<string> {
  return new Promise((resolve) => {
    if (waiting.push({ input, resolve }) === 1) setImmediate(signBatch);
  });
}

function signBatch(): void {
  const batch = waiting;
  waiting = [];
  for (const { input, resolve } of batch) resolve(signature(input));
}

/** The id of the client that authenticates (RFC 7617), undefined where the secret is not its own. */
function authenticate(authorization = ''): string | undefined {
  const credentials = Buffer.from(authorization.slice('Basic '.length), 'base64').toString();
  const colon = credentials.indexOf(':');
  const id = credentials.slice(0, colon);
  const digest = digests.get(id);
  const presented = hash('sha256', credentials.slice(colon + 1), 'buffer');
  return digest !== undefined && timingSafeEqual(presented, digest) ? id : undefined;
}

function signingInput(id: string): string {
  const iat = Math.floor(Date.now() / 1000);
  const exp = iat + lifetime;
  const claims = { iss: issuer, sub: id, aud: audience, client_id: id, iat, exp, jti: randomUUID(), scope };
  return `${encodedHeader}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
}

function answer(reply: FastifyReply, input: string, signed: string): FastifyReply {
  reply.headers(tokenHeaders);
  return reply.send({ access_token: `${input}.${signed}`, token_type: 'Bearer', expires_in: lifetime, scope });
}

const server = Fastify();
server.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
  done(null, parse(body as string)),
);
server.post<{ Body: Record<string, string> }>('/token', (request, reply) => {
  const id = authenticate(request.headers.authorization);
  if (id === undefined || request.body.grant_type !== 'client_credentials') return reply.code(400).send();
  const input = signingInput(id);
  if (mode === '--inline') return answer(reply, input, signature(input));
  signInBatch(input).then((signed) => answer(reply, input, signed));
  return reply;
});
const jwksBytes = Buffer.from(jwks.body);
server.get('/.well-known/jwks.json', (_request, reply) => reply.headers(jwks.headers).send(jwksBytes));
// As many at a time as the issuer takes on these cores.
const passwords = createPasswords(hashingLimits(availableParallelism()));
server.post<{ Body: Record<string, string> }>('/password', async ({ body }, reply) => {
  const right = await passwords.verify(body.password ?? '', passwordHash);
  return reply.code(right ? 200 : 400).send();
});
await server.listen({ port, host: '127.0.0.1' });
