/** A client's end of the back channel: a real HTTP server that notes what it is told. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { decodeJwt, decodeProtectedHeader, type JWTPayload } from 'jose';

interface Owner {
  teardown(undo: () => Promise<void>): void;
}

export interface Notice {
  readonly method: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  readonly token: string;
  readonly header: ReturnType<typeof decodeProtectedHeader>;
  readonly claims: JWTPayload;
}

export interface LogoutReceiver {
  readonly uri: string;
  readonly notices: readonly Notice[];
  /** The first notice that nobody has asked for yet, when it comes. */
  next(): Promise<Notice>;
}

/** How it answers: 200 where not given. It may take its time. */
export type Answering = (response: ServerResponse, request: IncomingMessage) => void;

export async function startLogoutReceiver(
  t: Owner,
  answering: Answering = (response) => response.end(),
): Promise<LogoutReceiver> {
  const notices: Notice[] = [];
  let wake = () => {};
  let asked = 0;
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const token = new URLSearchParams(body).get('logout_token') ?? '';
    const { method = '', headers } = request;
    notices.push({ method, headers, body, token, header: decodeProtectedHeader(token), claims: decodeJwt(token) });
    answering(response, request);
    wake();
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as { port: number };
  return {
    uri: `http://127.0.0.1:${port}/backchannel`,
    notices,
    async next() {
      while (notices.length <= asked) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      asked += 1;
      return notices[asked - 1] as Notice;
    },
  };
}
