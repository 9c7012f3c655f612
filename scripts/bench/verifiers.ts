/** The verifiers, in processes of their own, and what they are told. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Said, Told, VerifierProcessOptions } from './verifier-process.ts';

const program = fileURLToPath(new URL('verifier-process.js', import.meta.url));

/** The verifiers are spread evenly over so many processes. */
export const verifierProcesses = 2;

export interface Verifiers {
  /** Lets one verifier of each process verify a token, which has to be good. */
  show(token: string): void;
  /** Lets all of them verify a token that is going to be revoked; resolves when they have accepted it. */
  watch(token: string, watch: number): Promise<void>;
  /** Resolves with the times (see `clock`) at which each of them refused it first, in an order that stays. */
  refused(watch: number): Promise<number[]>;
  /** Rejects when one of the processes ends by itself: a good token was refused, or a bad one not as it should be. */
  readonly failed: Promise<never>;
  stop(): Promise<void>;
}

/** Resolves when all verifiers, one for each of the ports, have their news from where they are to have them. */
export async function startVerifiers(options: VerifierProcessOptions, output: number): Promise<Verifiers> {
  const accepted = new Map<number, Gathering<undefined>>();
  const refused = new Map<number, Gathering<readonly number[]>>();
  const ready = gather<undefined>();
  const children = Array.from({ length: verifierProcesses }, (_, index) => {
    const ports = options.ports.filter((_port, at) => at % verifierProcesses === index);
    return fork(program, [JSON.stringify({ ...options, ports })], {
      stdio: ['ignore', output, output, 'ipc'],
      env: { PATH: process.env.PATH, HOME: process.env.HOME },
    });
  });
  let stopping = false;

  const failed = new Promise<never>((_, reject) => {
    for (const child of children) {
      child.on('exit', () => stopping || reject(new Error('the verifiers of a process have ended')));
      child.on('error', reject);
    }
  });
  failed.catch(() => undefined); // who waits for anything else of them learns of it

  function tell(told: Told): void {
    for (const child of children) if (child.connected) child.send(told);
  }

  for (const [index, child] of children.entries()) {
    child.on('message', (said: Said) => {
      if (said.kind === 'ready') ready.take(index, undefined);
      else if (said.kind === 'accepted') accepted.get(said.watch)?.take(index, undefined);
      else refused.get(said.watch)?.take(index, said.at);
    });
  }

  const verifiers: Verifiers = {
    failed,
    show: (token) => tell({ token }),
    async watch(token, watch) {
      accepted.set(watch, gather());
      refused.set(watch, gather());
      tell({ token, watch });
      await Promise.race([accepted.get(watch)?.all, failed]);
    },
    async refused(watch) {
      return (await Promise.race([refused.get(watch)?.all ?? [], failed])).flat();
    },
    async stop() {
      stopping = true;
      await Promise.all(children.map(end));
    },
  };
  try {
    await Promise.race([ready.all, failed]);
  } catch (error) {
    await verifiers.stop();
    throw error;
  }
  return verifiers;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

/** What each of the processes says once, in their order. */
interface Gathering<T> {
  take(index: number, one: T): void;
  readonly all: Promise<T[]>;
}

function gather<T>(): Gathering<T> {
  const taken: T[] = [];
  let missing = verifierProcesses;
  let done: (all: T[]) => void = () => undefined;
  const all = new Promise<T[]>((resolve) => {
    done = resolve;
  });
  return {
    all,
    take(index, one) {
      taken[index] = one;
      missing -= 1;
      if (missing === 0) done(taken);
    },
  };
}
