/** A TCP balancer: each connection goes to the next target that takes it. Stands before the issuers, and before Postgres. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Balancer {
  readonly port: number;
  close(): void;
}

/** Starts one on a free port. `targets` is asked anew for each connection. */
export async function startBalancer(targets: () => readonly number[]): Promise<Balancer> {
  let turn = 0;
  const sockets = new Set<Socket>();

  function forward(client: Socket, ports: readonly number[]): void {
    const [port, ...others] = ports;
    if (port === undefined) {
      client.destroy();
      return;
    }
    const target = connect(port, '127.0.0.1');
    sockets.add(target);
    let connected = false;
    target.once('connect', () => {
      connected = true;
      client.pipe(target).pipe(client);
    });
    target.on('error', () => undefined);
    target.once('close', () => {
      sockets.delete(target);
      if (connected) client.destroy();
      else forward(client, others);
    });
    client.once('close', () => connected && target.destroy());
  }

  const server = createServer((client) => {
    sockets.add(client);
    client.on('error', () => undefined).once('close', () => sockets.delete(client));
    const ports = targets();
    const first = turn++ % Math.max(1, ports.length);
    forward(client, [...ports.slice(first), ...ports.slice(0, first)]);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
