/** Asks the issuer, with `fetch` alone: every request has a time limit, every answer a size limit. */
import type { Milliseconds } from './options.ts';

export interface Answer {
  readonly status: 200 | 304;
  readonly headers: Headers;
  /** Empty where the status is 304. */
  readonly text: string;
}

export interface Stream {
  /** What comes, until it ends. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Ends it, from either side of a read. */
  abort(): void;
}

export interface Http {
  /** The document at a URL, of at most so many bytes. Rejects for any other answer than 200 and 304. */
  get(url: string, largest: number, headers?: Record<string, string>): Promise<Answer>;
  /** The event stream at a URL. Rejects for any other answer. */
  stream(url: string, headers?: Record<string, string>): Promise<Stream>;
  /** Ends all that is under way. */
  close(): void;
}

/** An answer of another status than was hoped for. */
export class StatusError extends Error {
  /** How long the issuer wants to be left alone: its `Retry-After` (RFC 9110 §10.2.3), a minute at most. */
  readonly retryAfter: Milliseconds;

  constructor(url: string, { status, headers }: Response) {
    super(`${url}: status ${status}`);
    this.name = 'StatusError';
    this.retryAfter = Math.min(Number(/^\d{1,9}$/.exec(headers.get('retry-after') ?? '')?.[0] ?? 0), 60) * 1000;
  }
}

/** For a document to be there, or a stream to begin. */
const patience: Milliseconds = 10_000;

export function createHttp(fetch: typeof globalThis.fetch): Http {
  const underWay = new Set<AbortController>();
  let closed = false;

  /** Sends a request, and does with the answer what has to be done in time. */
  async function send<T>(
    url: string,
    headers: Record<string, string>,
    read: (response: Response, controller: AbortController) => Promise<T>,
  ): Promise<T> {
    if (closed) throw new Error('closed');
    const controller = new AbortController();
    underWay.add(controller);
    const timer = setTimeout(() => controller.abort(new Error(`${url}: no answer in time`)), patience);
    try {
      return await read(await fetch(url, { headers, redirect: 'manual', signal: controller.signal }), controller);
    } catch (error) {
      underWay.delete(controller);
      controller.abort(error);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    get: (url, largest, headers = {}) =>
      send(url, { accept: 'application/json', ...headers }, async (response, controller) => {
        const { status } = response;
        if (status !== 200 && status !== 304) throw new StatusError(url, response);
        const text = status === 200 ? await readText(chunksOf(response.body, controller.signal), largest) : '';
        underWay.delete(controller);
        return { status, headers: response.headers, text };
      }),

    stream: (url, headers = {}) =>
      send(url, { accept: 'text/event-stream', ...headers }, async (response, controller) => {
        const { status, body } = response;
        if (status !== 200) throw new StatusError(url, response);
        if (!/^text\/event-stream\s*(;|$)/i.test(response.headers.get('content-type') ?? '') || body === null)
          throw new Error(`${url}: no event stream`);
        const abort = () => {
          underWay.delete(controller);
          controller.abort(new Error('ended'));
        };
        return { chunks: chunksOf(body, controller.signal), abort };
      }),

    close() {
      closed = true;
      for (const controller of underWay) controller.abort(new Error('closed'));
      underWay.clear();
    },
  };
}

async function readText(chunks: AsyncIterable<Uint8Array>, largest: number): Promise<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const pieces: string[] = [];
  let size = 0;
  for await (const bytes of chunks) {
    size += bytes.length;
    if (size > largest) throw new Error(`an answer of more than ${largest} bytes`);
    pieces.push(decoder.decode(bytes, { stream: true }));
  }
  return pieces.join('') + decoder.decode();
}

/**
 * What comes of a body, until it ends or who asks has enough; throws when the signal says so, also where the platform
 * gives the signal to the request alone. Not every platform has bodies as iterables.
 */
async function* chunksOf(body: Response['body'], signal: AbortSignal): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  const reader = body.getReader();
  const cancel = () => void reader.cancel().catch(() => undefined); // it may have failed by itself
  signal.addEventListener('abort', cancel);
  try {
    signal.throwIfAborted();
    for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value;
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener('abort', cancel);
    cancel();
  }
}

/** For how long a document may be used (RFC 9111 §4.2.1); undefined where it does not say. */
export function maxAgeOf(headers: Headers): number | undefined {
  const [, maxAge] = /(?:^|[\s,])max-age=(\d{1,9})/i.exec(headers.get('cache-control') ?? '') ?? [];
  const age = Number(/^\d{1,9}$/.exec(headers.get('age') ?? '')?.[0] ?? 0);
  return maxAge === undefined ? undefined : Math.max(0, Number(maxAge) - age);
}

/** The JSON object that a text is. Throws for any other text. */
export function parseObject(text: string): Record<string, unknown> {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('not a JSON object');
  return value as Record<string, unknown>;
}
