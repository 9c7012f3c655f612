/** Several issuers on one Postgres behind one address, whose keys turn as fast as they can. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startBalancer } from './balancer.ts';

const main = fileURLToPath(new URL('../../../src/main.js', import.meta.url));
const keyturnCommand = fileURLToPath(new URL('../../../../scripts/keyturn.js', import.meta.url));

/** The shortest that the configuration lets be: a key signs for as long as four published ones suffice. */
export const times = { jwksMaxAge: 1, accessTokenTtl: 10, keySignFor: 16 };

export interface FleetOptions {
  readonly databaseUrl: string;
  /** Where the issuers run, and keep their key-encryption keys. */
  readonly folder: string;
  /** File descriptor of what they write. */
  readonly output: number;
  readonly instances: number;
}

export interface Fleet {
  readonly issuer: string;
  /** The ports of the issuers themselves, of those that are up. */
  ports(): readonly number[];
  /** Kills one with -9, and starts it again after so many milliseconds. Resolves when it is ready again. */
  killAndRestart(instance: number, away: number): Promise<void>;
  /** Runs `keyturn … --json` and answers what it printed; undefined where it failed. */
  keyturn(...args: string[]): Promise<unknown>;
  stop(): Promise<void>;
}

/** Starts the issuers; resolves when all are ready. */
export async function startFleet({ databaseUrl, folder, output, instances }: FleetOptions): Promise<Fleet> {
  const all = await Promise.all(Array.from({ length: instances }, freePort));
  const up = new Set<number>();
  const balancer = await startBalancer(() => [...up]);
  const issuer = `http://127.0.0.1:${balancer.port}`;
  const processes = new Map<number, ChildProcess>();
  const env = {
    PATH: process.env.PATH ?? '',
    ISSUER: issuer,
    HOST: '127.0.0.1',
    DATABASE_URL: databaseUrl,
    KEYS_DIR: `${folder}/keys`,
    LOG_LEVEL: 'warn',
    JWKS_MAX_AGE: String(times.jwksMaxAge),
    ACCESS_TOKEN_TTL: String(times.accessTokenTtl),
    KEY_SIGN_FOR: String(times.keySignFor),
  };

  async function start(port: number): Promise<void> {
    const child = spawn(process.execPath, [main], {
      cwd: folder,
      env: { ...env, PORT: String(port) },
      stdio: ['ignore', output, output],
    });
    processes.set(port, child);
    while (!(await isReady(port))) {
      if (child.exitCode !== null) throw new Error('an issuer ended before it was ready');
      await delay(50);
    }
    up.add(port);
  }

  await Promise.all(all.map(start));
  return {
    issuer,
    ports: () => [...up],
    async killAndRestart(instance, away) {
      const port = all[instance % all.length] as number;
      up.delete(port);
      const child = processes.get(port) as ChildProcess;
      child.kill('SIGKILL');
      await once(child, 'exit');
      await delay(away);
      await start(port);
    },
    async keyturn(...args) {
      try {
        const { stdout } = await promisify(execFile)(process.execPath, [keyturnCommand, ...args, '--json'], { env });
        return JSON.parse(stdout);
      } catch {
        return undefined;
      }
    },
    async stop() {
      up.clear();
      balancer.close();
      const ended = [...processes.values()].map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const exit = once(child, 'exit');
        child.kill('SIGTERM');
        await exit;
      });
      await Promise.all(ended);
    },
  };
}

async function isReady(port: number): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => undefined);
  await answer?.body?.cancel();
  return answer?.status === 200;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
