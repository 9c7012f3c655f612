/**
 * The load: each connection sends its next request as soon as the answer to the last is there. Written on plain sockets,
 * since a generator that costs more per request than the server would measure itself.
 */
import { connect } from 'node:net';

/** One request, and what is to be made of its answer. */
export interface Step {
  /** The answer's; any other ends the measurement. */
  readonly status: 200 | 303;
  /** The request's bytes. */
  request(): Buffer;
  /** Takes from the answer, head and body, what later requests need. */
  take?(answer: string): void;
}

/** What one connection asks, from the first step to the last and then again. It counts, and is timed, as a whole. */
export type Walk = readonly Step[];

/** What one round of load brought. */
export interface Round {
  /** Walks that came to their end. */
  readonly walks: number;
  readonly seconds: number;
  /** Milliseconds from the first byte sent of a walk to the last byte read, in ascending order. */
  readonly latencies: Float64Array;
}

const host = '127.0.0.1';

/** The bytes of a request. */
export function requestBytes(method: 'GET' | 'POST', path: string, headers: Record<string, string>, body = ''): Buffer {
  const lines = Object.entries({ host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = method === 'POST' ? `content-length: ${Buffer.byteLength(body)}\r\n` : '';
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}${length}\r\n${body}`);
}

/** A walk of one request that is always the same. */
export function repeated(request: Buffer): Walk {
  return [{ status: 200, request: () => request }];
}

/**
 * Goes each walk on a connection of its own for so many seconds, and to its end, so at least once. Rejects as soon as one
 * answer has another status than its step says or no Content-Length, or a connection ends: what answers errors is not worth
 * measuring.
 */
export async function load(port: number, walks: readonly Walk[], seconds: number): Promise<Round> {
  const times: number[] = [];
  const started = performance.now();
  const deadline = started + seconds * 1000;
  await Promise.all(walks.map((walk) => oneConnection(port, walk, deadline, times)));
  return {
    walks: times.length,
    seconds: (performance.now() - started) / 1000,
    latencies: Float64Array.from(times).sort(),
  };
}

function oneConnection(port: number, walk: Walk, deadline: number, times: number[]): Promise<void> {
  return new Promise((resolve, reject) => {
    let beganAt = 0;
    let position = 0;
    let step = walk[0] as Step;
    /** Bytes of the present answer that are still to come; 0 before its head has been read. */
    let missing = 0;
    let answer = '';

    const socket = connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(64 * 1024),
        callback(bytes, buffer) {
          if (step.take) answer += (buffer as Buffer).toString('latin1', 0, bytes);
          missing = (missing === 0 ? answerLength(buffer as Buffer, bytes, step.status) : missing) - bytes;
          if (missing > 0) return true;
          if (missing < 0) {
            const [line] = (buffer as Buffer).toString('latin1', 0, bytes).split('\r\n', 1);
            socket.destroy(new Error(`not the answer that was wanted, or more than that: ${line}`));
            return false;
          }
          try {
            goOn();
          } catch (error) {
            socket.destroy(error as Error);
          }
          return true;
        },
      },
    });

    function goOn(): void {
      step.take?.(answer);
      answer = '';
      position = (position + 1) % walk.length;
      step = walk[position] as Step;
      if (position > 0) {
        socket.write(step.request());
        return;
      }
      const now = performance.now();
      times.push(now - beganAt);
      if (now < deadline) begin(now);
      else socket.destroy();
    }

    function begin(now: number): void {
      beganAt = now;
      socket.write(step.request());
    }

    socket
      .on('connect', () => begin(performance.now()))
      .on('error', reject)
      .on('end', () => socket.destroy(new Error('the server ended the connection')))
      .on('close', () => resolve());
  });
}

/** The length in bytes of an answer whose head is in `buffer`; 0 where it is not the one wanted. */
function answerLength(buffer: Buffer, bytes: number, status: number): number {
  const end = buffer.indexOf('\r\n\r\n');
  if (end === -1 || end > bytes) return 0;
  const head = buffer.toString('latin1', 0, end);
  const contentLength = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  return head.startsWith(`HTTP/1.1 ${status} `) && contentLength !== undefined ? end + 4 + Number(contentLength) : 0;
}
