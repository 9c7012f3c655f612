/** A client's end of the back channel: a real HTTP server that notes what it is told. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

interface Owner {
  teardown(undo: () => Promise<void>): void;
}

export interface Notice {
  readonly method: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** The value of `logout_token`. */
  readonly token: string;
}

export interface LogoutReceiver {
  readonly uri: string;
  readonly notices: readonly Notice[];
  /** The first notice that nobody has asked for yet, when it comes. */
  next(): Promise<Notice>;
}

/** How it answers: 200 where not given. It need not. */
export type Answering = (response: ServerResponse) => void;

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
    const { method, headers } = request;
    notices.push({ method, headers, body, token: new URLSearchParams(body).get('logout_token') ?? '' });
    answering(response);
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
