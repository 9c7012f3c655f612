/** Readers of server-sent events over real sockets. */
import { once } from 'node:events';
import http, { type IncomingHttpHeaders } from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';

/** One event as it came. */
export interface StreamEvent {
  readonly id: string | undefined;
  readonly event: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
  readonly data: any;
}

export interface EventReader {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The body, where the answer is no stream. */
  readonly text: string;
  /** The next event, one after the other; rejects where none comes in time or the stream ends. */
  next(): Promise<StreamEvent>;
  /** Resolves when the stream has ended: whether by its end, or in the middle of something. */
  readonly ended: Promise<'complete' | 'cut'>;
  /** Reads no more, as a process does that hangs. */
  readonly socket: Socket;
  close(): void;
}

/** Milliseconds for which an event is waited for; heartbeats come every ten seconds. */
const patience = 12_000;

/** Opens a stream at a port of this machine, by TLS where a certificate is given; it ends with the test. */
export async function openEvents(
  t: { teardown(undo: () => void): void },
  port: number,
  path = '/revocations/stream',
  headers: Record<string, string> = {},
  ca?: string,
): Promise<EventReader> {
  const asked = { port, path, headers, agent: false };
  const request =
    ca === undefined ? http.get({ host: '127.0.0.1', ...asked }) : https.get({ host: 'localhost', ca, ...asked });
  t.teardown(() => request.destroy());
  const [answer] = (await once(request, 'response')) as [http.IncomingMessage];
  const waiting: ((event: StreamEvent) => void)[] = [];
  const events: StreamEvent[] = [];
  let text = '';
  const ended = new Promise<'complete' | 'cut'>((resolve) => {
    answer.on('error', () => undefined).once('close', () => resolve(answer.complete ? 'complete' : 'cut'));
  });
  answer.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    if (answer.statusCode !== 200) return;
    const parts = text.split('\n\n');
    text = parts.pop() ?? '';
    for (const part of parts) {
      const event = parse(part);
      const next = waiting.shift();
      if (next) next(event);
      else events.push(event);
    }
  });
  if (answer.statusCode !== 200) await ended;
  return {
    status: answer.statusCode ?? 0,
    headers: answer.headers,
    text,
    ended,
    socket: answer.socket,
    close: () => request.destroy(),
    next() {
      const ready = events.shift();
      if (ready !== undefined) return Promise.resolve(ready);
      return new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error('no event came in time')), patience);
        void ended.then(() => reject(new Error('the stream has ended')));
        waiting.push((event) => {
          clearTimeout(late);
          resolve(event);
        });
      });
    },
  };
}

function parse(text: string): StreamEvent {
  const fields = new Map(text.split('\n').map((line) => [line.replace(/: .*/s, ''), line.replace(/^\w+: /, '')]));
  return { id: fields.get('id'), event: fields.get('event') ?? '', data: JSON.parse(fields.get('data') ?? 'null') };
}
