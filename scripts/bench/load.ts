/**
 * The load: one request, sent again on each connection as soon as its answer is there. Written on plain sockets, since
 * a generator that costs more per request than the server would measure itself.
 */
import { connect } from 'node:net';

/** What one round of load brought. */
export interface Round {
  readonly requests: number;
  readonly seconds: number;
  /** Milliseconds from a request's last byte sent to its answer's last byte read, in ascending order. */
  readonly latencies: Float64Array;
}

const host = '127.0.0.1';

/** The bytes of a request. */
export function requestBytes(method: 'GET' | 'POST', path: string, headers: Record<string, string>, body = ''): Buffer {
  const lines = Object.entries({ host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = method === 'POST' ? `content-length: ${Buffer.byteLength(body)}\r\n` : '';
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}${length}\r\n${body}`);
}

/**
 * Sends the request over so many connections for so many seconds. Rejects as soon as one answer is anything but a 200
 * with a Content-Length, or a connection ends: what answers errors is not worth measuring.
 */
export async function load(port: number, request: Buffer, connections: number, seconds: number): Promise<Round> {
  const times: number[] = [];
  const started = performance.now();
  const deadline = started + seconds * 1000;
  await Promise.all(Array.from({ length: connections }, () => oneConnection(port, request, deadline, times)));
  return {
    requests: times.length,
    seconds: (performance.now() - started) / 1000,
    latencies: Float64Array.from(times).sort(),
  };
}

function oneConnection(port: number, request: Buffer, deadline: number, times: number[]): Promise<void> {
  return new Promise((resolve, reject) => {
    let sentAt = 0;
    /** Bytes of the present answer that are still to come; 0 before its head has been read. */
    let missing = 0;

    const socket = connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(64 * 1024),
        callback(bytes, buffer) {
          missing = (missing === 0 ? answerLength(buffer as Buffer, bytes) : missing) - bytes;
          if (missing > 0) return true;
          if (missing < 0) {
            socket.destroy(new Error('the server answers more than it was asked, or not 200 with a Content-Length'));
            return false;
          }
          const now = performance.now();
          times.push(now - sentAt);
          if (now < deadline) send(now);
          else socket.destroy();
          return true;
        },
      },
    });
    const send = (now: number) => {
      sentAt = now;
      socket.write(request);
    };
    socket
      .on('connect', () => send(performance.now()))
      .on('error', reject)
      .on('end', () => socket.destroy(new Error('the server ended the connection')))
      .on('close', () => resolve());
  });
}

/** The length in bytes of an answer whose head is in `buffer`; 0 where it is not a good one. */
function answerLength(buffer: Buffer, bytes: number): number {
  const end = buffer.indexOf('\r\n\r\n');
  if (end === -1 || end > bytes) return 0;
  const head = buffer.toString('latin1', 0, end);
  const contentLength = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  return head.startsWith('HTTP/1.1 200 ') && contentLength !== undefined ? end + 4 + Number(contentLength) : 0;
}
