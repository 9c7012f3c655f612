/** The servers that are measured, as processes, and what the kernel says of them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { on } from './cores.ts';

export interface ServerProcess {
  readonly port: number;
  hasEnded(): boolean;
  /** Processor seconds used so far; undefined where the kernel does not say (no Linux), as with the next. */
  cpuSeconds(): number | undefined;
  /** The most memory it has held (resident set), in bytes. */
  peakMemory(): number | undefined;
  /** Asks it to end; resolves when it has. */
  stop(): Promise<void>;
}

export interface ServerProcessOptions {
  readonly program: string;
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly port: number;
  readonly where: 'one core' | 'all cores';
  readonly cwd: string;
  /** File descriptor of what it writes. */
  readonly output: number;
}

const started = new Set<ServerProcess>();

/** Starts a Node program. Returns at once: whether it fares well shows when it answers. */
export function startServer(options: ServerProcessOptions): ServerProcess {
  const [command = '', ...args] = [...on(options.where), process.execPath, options.program, ...(options.args ?? [])];
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...options.env },
    stdio: ['ignore', options.output, options.output],
  });
  const server: ServerProcess = {
    port: options.port,
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    cpuSeconds: () => cpuSeconds(child),
    peakMemory: () => peakMemory(child),
    async stop() {
      if (server.hasEnded()) return;
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      await exit;
    },
  };
  started.add(server);
  return server;
}

/** Ends every server that was started and still runs. Whoever measures one of them fails. */
export async function stopServers(): Promise<void> {
  await Promise.all([...started].map((server) => server.stop()));
}

/** `proc(5)`, stat: user and system time are the 14th and 15th field, in hundredths of a second. */
function cpuSeconds(child: ChildProcess): number | undefined {
  const stat = readProc(child, 'stat');
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function peakMemory(child: ChildProcess): number | undefined {
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readProc(child, 'status') ?? '')?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

function readProc(child: ChildProcess, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${child.pid}/${file}`, 'utf8');
  } catch {
    return undefined;
  }
}

/** A port that is free at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** An answer with status 200. */
export interface Answer {
  readonly headers: Headers;
  readonly body: string;
}

/** The first good answer of a server, asked for every other millisecond. Rejects after 30 seconds, or when it ends. */
export async function firstAnswer(server: ServerProcess, path: string, init: RequestInit = {}): Promise<Answer> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    let problem: string;
    try {
      const response = await fetch(`http://127.0.0.1:${server.port}${path}`, init);
      const body = await response.text();
      if (response.status === 200) return { headers: response.headers, body };
      problem = `${response.status} ${body}`;
    } catch (error) {
      problem = String((error as Error).cause ?? error);
    }
    if (server.hasEnded()) throw new Error('a server ended before it answered');
    if (performance.now() > deadline) throw new Error(`${path} gives no good answer: ${problem}`);
    await delay(2);
  }
}
