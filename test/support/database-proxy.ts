import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';

/** A way to a database that a test can break. */
export interface DatabaseProxy {
  /** The database's URL through the proxy. */
  readonly url: string;
  /** Breaks all connections; new ones are refused. */
  cut(): void;
  /** Passes nothing on any more, as a network does that fails without a word. */
  freeze(): void;
  /** Lets new connections through (again); those that were frozen stay so, as where a network has forgotten them. */
  mend(): Promise<void>;
  /** From now on new connections go to that database. */
  aim(url: string): void;
  /** How many connections have come so far. */
  connections(): number;
  /** How many notifications were swallowed. */
  swallowed(): number;
}

export interface ProxyOptions {
  /** Swallow every notification, as a pooler does that knows no LISTEN. */
  readonly deaf?: true;
}

/** Starts a proxy in front of the database at `url`; it ends with the test. */
export async function startProxy(
  t: { teardown(undo: () => unknown): void },
  url: string,
  options: ProxyOptions = {},
): Promise<DatabaseProxy> {
  let target = new URL(url);
  const sockets = new Set<net.Socket>();
  let swallowed = 0;
  let connections = 0;
  let frozen = false;
  const server = net.createServer((client) => {
    connections += 1;
    const upstream = net.connect(Number(target.port || 5432), target.hostname);
    const forget = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', forget).on('close', () => sockets.delete(socket) && forget());
    }
    if (frozen) return;
    client.pipe(upstream);
    if (options.deaf)
      upstream.on(
        'data',
        withoutNotifications(
          (rest) => client.write(rest),
          () => swallowed++,
        ),
      );
    else upstream.pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const own = (server.address() as AddressInfo).port;

  function cut(): void {
    server.close();
    for (const socket of sockets) socket.destroy();
  }
  t.teardown(cut);

  const through = new URL(url);
  through.host = `127.0.0.1:${own}`;
  return {
    url: through.href,
    cut,
    freeze() {
      frozen = true;
      for (const socket of sockets) socket.unpipe().pause();
    },
    swallowed: () => swallowed,
    connections: () => connections,
    aim(url) {
      target = new URL(url);
    },
    async mend() {
      frozen = false;
      if (server.listening) return;
      server.listen(own, '127.0.0.1');
      await once(server, 'listening');
    },
  };
}

/** Passes a server's messages on (a type byte, then a length that counts itself), but not those of type `A`. */
function withoutNotifications(pass: (messages: Buffer) => void, onSwallowed: () => void): (data: Buffer) => void {
  let held = Buffer.alloc(0);
  let begun = false;
  return (data) => {
    held = Buffer.concat([held, data]);
    // The answer to an SSLRequest is one byte without a length.
    if (!begun && (held[0] === 0x4e || held[0] === 0x53)) {
      pass(held.subarray(0, 1));
      held = held.subarray(1);
    }
    begun = true;
    while (held.length >= 5) {
      const length = 1 + held.readUInt32BE(1);
      if (held.length < length) break;
      if (held[0] === 0x41) onSwallowed();
      else pass(held.subarray(0, length));
      held = held.subarray(length);
    }
  };
}
