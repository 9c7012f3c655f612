import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ProtocolError } from '../../protocol/error.ts';
import type { Entries, Feed } from '../../tokens/feed.ts';
import type { AddressOf } from '../address.ts';
import type { ClientAuthenticator } from '../client-authentication.ts';
import type { Endpoint } from '../endpoint.ts';
import { parseForm } from '../form.ts';
import { createPlaces, type PlaceLimits } from '../places.ts';
import { queryOf, requireOneAuthorization } from '../request.ts';

export interface StreamLimits extends PlaceLimits {
  /** Milliseconds between heartbeats. */
  readonly heartbeat: number;
  /** Bytes that may wait for a reader, beyond what it was sent first: those are in memory for all. */
  readonly behind: number;
  /** Heartbeats within which a reader has to have taken what it was sent first. */
  readonly catchUp: number;
}

export const streamLimits: StreamLimits = {
  open: 2_000,
  anonymous: 1_500,
  perAddress: 20,
  perClient: 500,
  heartbeat: 10_000,
  behind: 1024 * 1024,
  catchUp: 3,
};

export interface RevocationStreamServices {
  readonly feed: Feed;
  readonly authenticator: ClientAuthenticator;
  readonly addressOf: AddressOf;
  /** Seconds since 1970, with fractions. */
  exactNow(): number;
  readonly limits?: StreamLimits;
}

/** The endpoint, and how many read it. */
export interface RevocationStream extends Endpoint {
  readers(): number;
}

/** A reader. */
interface Stream {
  readonly raw: ServerResponse;
  /** Whether what was sent first has left the process. */
  caughtUp: boolean;
  /** Bytes sent after that. */
  later: number;
  heartbeats: number;
}

const headers = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no', // nginx would hold events back
};

const nothing = parseForm('');

/**
 * The feed as server-sent events (docs/revocation-feed.md; HTML §9.2). An event is rendered once for all readers, and what a
 * reader is sent first is a range of bytes that all share, so that neither many nor slow readers cost memory.
 */
export function revocationStreamEndpoint(services: RevocationStreamServices): RevocationStream {
  const { feed, authenticator, addressOf, exactNow, limits = streamLimits } = services;
  const places = createPlaces(limits);
  const streams = new Set<Stream>();
  let heart: NodeJS.Timeout | undefined;
  let closed = false;

  const times = () => `"asOf":${rounded(feed.asOf())},"sentAt":${rounded(exactNow())}`;

  function eventOf({ json }: Entries): Buffer[] {
    const begin = `id: ${feed.position()}\nevent: revocations\ndata: {${times()},"entries":[`;
    return [Buffer.from(begin), json, Buffer.from(']}\n\n')];
  }

  feed.onEntries((entries) => {
    if (streams.size > 0) sendAll(Buffer.concat(eventOf(entries)));
  });

  function beat(): void {
    for (const stream of streams) {
      stream.heartbeats += 1;
      if (!stream.caughtUp && stream.heartbeats >= limits.catchUp) stream.raw.destroy();
    }
    sendAll(Buffer.from(`event: heartbeat\ndata: {${times()}}\n\n`));
  }

  function sendAll(event: Buffer): void {
    for (const stream of streams) {
      const behind = stream.caughtUp ? stream.raw.writableLength : stream.later;
      if (behind > limits.behind) stream.raw.destroy();
      if (stream.raw.destroyed) continue;
      stream.raw.write(event);
      stream.later += event.length;
    }
  }

  function open(reply: FastifyReply, since: string | undefined, leave: () => void): void {
    const raw = takeOver(reply);
    const stream: Stream = { raw, caughtUp: false, later: 0, heartbeats: 0 };
    streams.add(stream);
    heart ??= setInterval(beat, limits.heartbeat).unref();
    raw.on('error', () => undefined); // said of a connection that is gone, which 'close' says too
    raw.once('close', () => {
      leave();
      streams.delete(stream);
      if (streams.size > 0) return;
      clearInterval(heart);
      heart = undefined;
    });
    const [begin, json, end] = eventOf(feed.after(since)) as [Buffer, Buffer, Buffer];
    raw.cork();
    raw.write(begin);
    raw.write(json);
    raw.write(end, () => {
      stream.caughtUp = true;
    });
    raw.uncork();
  }

  async function handle(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const since = request.headers['last-event-id'] ?? parseForm(queryOf(request)).get('since');
    const authorization = requireOneAuthorization(request);
    const client = authorization && (await authenticator.authenticate(authorization, nothing, Math.floor(exactNow())));
    // A pipelined one would wait for the end of the answer before it, and its events would wait here.
    if (reply.raw.socket === null) throw new ProtocolError('invalid_request', 'a stream needs a connection of its own');
    if (closed) throw new ProtocolError('temporarily_unavailable', 'this server is stopping', { retryAfter: 1 });
    if (reply.raw.destroyed) return reply.hijack(); // it left while it was asked who it is
    if (request.method === 'HEAD') {
      takeOver(reply).end();
      return reply;
    }
    const leave = places.take({ clientId: client ? client.id : undefined, address: addressOf(request) });
    open(reply, since?.toString(), leave);
    return reply;
  }

  return {
    readers: () => streams.size,
    path: '/revocations/stream',
    method: 'GET',
    readableBy: 'anyone',
    metadata: (url) => ({ revocations_stream_endpoint: url }),
    handle,
    close() {
      closed = true;
      clearInterval(heart);
      for (const { raw } of streams) {
        if (raw.writableLength > 0) raw.destroy();
        else raw.end();
      }
    },
  };
}

/** The answer beneath Fastify's, which knows answers that end. */
function takeOver(reply: FastifyReply): ServerResponse {
  reply.headers(headers).hijack();
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) reply.raw.setHeader(name, value);
  }
  return reply.raw;
}

/** To the millisecond, as a JSON number. */
function rounded(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
