/** An issuer that is nothing but sockets: it signs whatever a test wants signed, and answers well or badly as told. */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;
export type Entry = [digest: string, expiresAt: number, epochBelow?: number];

export interface FakeKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

export interface FakeIssuer {
  readonly issuer: string;
  readonly audience: string;
  /** What was asked, by path. */
  readonly asked: Record<string, IncomingMessage[]>;
  /** By path; to be replaced at will. */
  readonly answers: Record<string, Answer>;
  readonly keys: FakeKey[];
  readonly entries: Entry[];
  /** The position; changing the part before the dash makes it another feed. */
  position: string;
  /** The issuer's clock, in seconds. */
  clock: () => number;
  /** When it last read its database. */
  asOf: () => number;
  /** The readers of the stream. */
  readonly streams: Set<ServerResponse>;
  /** Adds to the feed and tells the readers. */
  revoke(...entries: Entry[]): void;
  /** Sends the readers an event. */
  send(type: string, data: object | string, id?: string): void;
  heartbeat(): void;
  token(claims?: JWTPayload, header?: Record<string, unknown>, key?: FakeKey): Promise<string>;
  /** Whether connections to it are open. */
  connections(): Promise<number>;
  /** Stops listening and cuts every connection. */
  stop(): Promise<void>;
  /** Listens again, on the same port. */
  listen(): Promise<void>;
}

export async function newKey(alg = 'ES256', kid: string = randomUUID()): Promise<FakeKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg);
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

/** Starts one that ends with the test. */
export async function startFakeIssuer(t: { teardown(undo: () => unknown): void }): Promise<FakeIssuer> {
  const asked: FakeIssuer['asked'] = {};
  const streams: FakeIssuer['streams'] = new Set();
  const keys = [await newKey()];
  let number = 1;
  let port = 0;
  const server: Server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://localhost');
    asked[pathname] ??= [];
    asked[pathname].push(request);
    const answer = fake.answers[pathname] ?? ((_, missing) => missing.writeHead(404).end());
    answer(request, response);
  });
  const listen = async () => {
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  };
  await listen();
  const issuer = `http://127.0.0.1:${port}`;
  const json = (response: ServerResponse, value: object, headers: Record<string, string> = {}) =>
    response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
  const event = (type: string, data: object | string, id?: string) =>
    `${id === undefined ? '' : `id: ${id}\n`}event: ${type}\ndata: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;
  const times = () => ({ asOf: fake.asOf(), sentAt: fake.clock() });
  const isNews = (since: string | string[] | null | undefined) => since !== fake.position;

  const fake: FakeIssuer = {
    issuer,
    audience: 'https://orders.example',
    asked,
    streams,
    keys,
    entries: [],
    position: '3f9a6c0d51b2e874-1',
    clock: () => Date.now() / 1000,
    asOf: () => fake.clock(),
    answers: {
      '/.well-known/openid-configuration': (_, response) =>
        json(response, {
          issuer,
          jwks_uri: `${issuer}/jwks`,
          revocations_endpoint: `${issuer}/revocations`,
          revocations_stream_endpoint: `${issuer}/revocations/stream`,
        }),
      '/jwks': (_, response) =>
        json(response, { keys: keys.map(({ jwk }) => jwk) }, { 'cache-control': 'public, max-age=600' }),
      '/revocations': (request, response) => {
        const since = new URL(request.url ?? '', issuer).searchParams.get('since');
        const etag = `"${fake.position}${since}"`;
        const headers = {
          etag,
          'revocations-as-of': String(fake.asOf()),
          date: new Date(fake.clock() * 1000).toUTCString(),
        };
        if (request.headers['if-none-match'] === etag) response.writeHead(304, headers).end();
        else json(response, { issuer, id: fake.position, entries: isNews(since) ? fake.entries : [] }, headers);
      },
      '/revocations/stream': (request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        streams.add(response);
        response.once('close', () => streams.delete(response));
        const entries = isNews(request.headers['last-event-id']) ? fake.entries : [];
        response.write(event('revocations', { ...times(), entries }, fake.position));
      },
    },
    revoke(...entries) {
      number += 1;
      fake.position = fake.position.replace(/-.*/, `-${number}`);
      fake.entries.push(...entries);
      fake.send('revocations', { ...times(), entries }, fake.position);
    },
    send(type, data, id) {
      for (const stream of streams) stream.write(event(type, data, id));
    },
    heartbeat: () => fake.send('heartbeat', times()),
    async token(claims = {}, header = {}, key = keys[0] as FakeKey) {
      const now = Math.floor(fake.clock());
      return new SignJWT({
        iss: issuer,
        aud: fake.audience,
        sub: 'user_1',
        client_id: 'client_1',
        jti: randomUUID(),
        iat: now,
        exp: now + 600,
        ...claims,
      })
        .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'at+jwt', ...header })
        .sign(key.privateKey);
    },
    connections: () => new Promise((resolve) => server.getConnections((_, count) => resolve(count))),
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
    listen,
  };
  t.teardown(async () => {
    if (server.listening) await fake.stop();
  });
  return fake;
}

/** Two clocks that go on by themselves, and that a test moves. */
export interface MovableClocks {
  readonly now: () => number;
  readonly monotonic: () => number;
  /** What a clock shows that nobody sets wrong. */
  readonly right: () => number;
  /** Time goes by for both. */
  advance(seconds: number): void;
  /** The machine sleeps, and with it the clock that nobody sets. */
  sleep(seconds: number): void;
  /** Somebody sets the wall clock, by so much. */
  setWall(seconds: number): void;
}

export function createMovableClocks(): MovableClocks {
  let passed = 0;
  let slept = 0;
  let set = 0;
  return {
    now: () => Date.now() + passed + slept + set,
    monotonic: () => performance.now() + passed,
    right: () => Date.now() + passed + slept,
    advance(seconds) {
      passed += seconds * 1000;
    },
    sleep(seconds) {
      slept += seconds * 1000;
    },
    setWall(seconds) {
      set += seconds * 1000;
    },
  };
}
