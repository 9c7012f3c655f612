/**
 * The demo's page of one token, live: the API is called with it twice a second, and beside that are its remaining life
 * and the keys. It is a machine's token, so nobody has to sign in.
 */
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import * as oidc from 'openid-client';
import { type KeyLife, keysView } from './keys-view.ts';
import { script, style } from './token-assets.ts';
import { type Call, liveView, type ShownToken, tokenPage } from './token-page.ts';

export interface TokenAppOptions {
  /** Where it is found. */
  readonly url: string;
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly ordersUrl: string;
  /** The issuer's keys, as an operator sees them. */
  keys(): Promise<readonly KeyLife[]>;
}

/** Calls that are shown. */
const mostCalls = 60;

/** Milliseconds after which the keys are looked at anew. */
const keysFor = 10_000;

export async function createTokenApp(options: TokenAppOptions): Promise<FastifyInstance> {
  const { url, issuer, clientId, clientSecret, ordersUrl } = options;
  const client = await oidc.discovery(new URL(issuer), clientId, clientSecret, oidc.ClientSecretBasic(clientSecret), {
    execute: [oidc.allowInsecureRequests], // the demo's issuer is http on this machine
  });
  let token: ShownToken | undefined;
  let calls: readonly Call[] = [];
  /** Milliseconds from the issuer's answer to the API's first refusal. */
  let refusedAfter: number | undefined;
  let keys: readonly KeyLife[] = [];
  let keysAt = Number.NEGATIVE_INFINITY;

  async function takeToken(): Promise<ShownToken> {
    const { access_token: text } = await oidc.clientCredentialsGrant(client, { scope: 'orders:read' });
    [calls, refusedAfter] = [[], undefined];
    return { text, header: decodeProtectedHeader(text), claims: decodeJwt(text) };
  }

  async function callApi({ text }: ShownToken): Promise<Call> {
    const answer = await fetch(ordersUrl, { headers: { authorization: `Bearer ${text}` } });
    const body = (await answer.json()) as Call['body'];
    return { status: answer.status, challenge: answer.headers.get('www-authenticate'), body };
  }

  async function currentKeys(): Promise<readonly KeyLife[]> {
    if (performance.now() - keysAt > keysFor) {
      keysAt = performance.now();
      keys = await options.keys();
    }
    return keys;
  }

  async function live(): Promise<string> {
    token ??= await takeToken();
    const call = await callApi(token);
    calls = [...calls, call].slice(-mostCalls);
    const now = Date.now() / 1000;
    return liveView({ token, calls, refusedAfter, now }) + keysView({ token, keys: await currentKeys(), now });
  }

  const server = Fastify();
  // A form without fields: nothing to read.
  server.addContentTypeParser('application/x-www-form-urlencoded', (_request, body, done) => {
    body.resume().once('end', () => done(null));
  });
  server.addHook('onRequest', async (request, reply) => {
    reply.headers({
      'cache-control': 'no-store',
      'content-security-policy':
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'same-origin',
    });
    if (request.method === 'POST' && !isOwn(request)) return reply.code(403).send('not for pages of other origins');
  });
  const isOwn = ({ headers }: FastifyRequest) => headers.origin === url;

  server.get('/', async (_request, reply) => {
    const view = await live();
    return reply.type('text/html; charset=utf-8').send(tokenPage(token as ShownToken, view));
  });
  server.get('/live', async (_request, reply) => reply.type('text/html; charset=utf-8').send(await live()));
  server.get('/style.css', (_request, reply) => reply.type('text/css; charset=utf-8').send(style));
  server.get('/live.js', (_request, reply) => reply.type('text/javascript; charset=utf-8').send(script));

  server.post('/take', async (_request, reply) => {
    token = await takeToken();
    return reply.redirect('/', 303);
  });

  server.post('/revoke', async (_request, reply) => {
    token ??= await takeToken();
    await oidc.tokenRevocation(client, token.text);
    const revokedAt = performance.now();
    while (refusedAfter === undefined && performance.now() - revokedAt < 5_000) {
      if ((await callApi(token)).status === 401) refusedAfter ??= performance.now() - revokedAt;
    }
    return reply.redirect('/', 303);
  });
  return server;
}
