/** HTTP as bytes, for requests that no client would send. */
import { connect } from 'node:net';
import type { TestIssuer } from './issuer.ts';

/** One answer as it came over the wire. Names of headers in lower case. */
export interface WireAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface ExchangeOptions {
  /** How many answers to wait for; fewer come where the server closes the connection. */
  answers?: number;
  /** Say that nothing more will be sent. */
  end?: boolean;
}

/** Longer than any answer may take, in milliseconds. */
const patience = 5_000;

/**
 * Sends bytes on a connection of their own (a text: each character one byte), and resolves to the final answers that
 * came. Rejects where the server neither answers nor closes.
 */
export function exchange(
  issuer: TestIssuer,
  bytes: string | Uint8Array,
  { answers = 1, end = false }: ExchangeOptions = {},
): Promise<WireAnswer[]> {
  const { port } = issuer.app.server.server.address() as { port: number };
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const timer = setTimeout(() => finish(new Error('the server neither answers nor closes')), patience);

    const headOnly = /^HEAD /.test(Buffer.from(bytes).subarray(0, 5).toString());

    function finish(error?: Error): void {
      clearTimeout(timer);
      socket.destroy();
      if (error) reject(error);
      else resolve(readAnswers(received, headOnly));
    }
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (readAnswers(received, headOnly).length >= answers) finish();
    });
    // A server that refuses before it has read everything may reset the connection; what it said first counts.
    socket.on('error', () => finish());
    socket.on('end', () => finish());
    const sent = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    if (end) socket.end(sent);
    else socket.write(sent);
  });
}

/** As `exchange`, for requests that are to have one answer. */
export async function exchangeOne(issuer: TestIssuer, bytes: string | Uint8Array): Promise<WireAnswer> {
  const [answer] = await exchange(issuer, bytes);
  if (answer === undefined) throw new Error('the server closed without an answer');
  return answer;
}

/** The bytes of a request. Lines of headers are as given; Content-Length is added for a body. */
export function request(line: string, headers: readonly string[] = [], body = ''): string {
  const length = body === '' ? [] : [`Content-Length: ${body.length}`];
  return [`${line} HTTP/1.1`, 'Host: localhost', ...headers, ...length, '', body].join('\r\n');
}

/** The bytes of a POST of a form. */
export function formRequest(path: string, body: string, headers: readonly string[] = []): string {
  return request(`POST ${path}`, ['Content-Type: application/x-www-form-urlencoded', ...headers], body);
}

/** The complete answers in what was received, provisional ones (100) left out; those to HEAD announce a body that never comes. */
function readAnswers(received: Buffer, headOnly: boolean): WireAnswer[] {
  const found: WireAnswer[] = [];
  for (let rest = received; ; ) {
    const end = rest.indexOf('\r\n\r\n');
    if (end === -1) return found;
    const [statusLine = '', ...lines] = rest.subarray(0, end).toString('latin1').split('\r\n');
    const headers = Object.fromEntries(
      lines.map((line) => [line.replace(/:.*/s, '').toLowerCase(), line.replace(/^[^:]*: */, '')]),
    );
    const status = Number(statusLine.split(' ')[1]);
    const length = headOnly ? 0 : Number(headers['content-length'] ?? 0);
    const body = rest.subarray(end + 4, end + 4 + length);
    if (body.length < length) return found;
    rest = rest.subarray(end + 4 + body.length);
    if (status >= 200) found.push({ status, headers, body: body.toString() });
  }
}
