/** Rounds of load: every subject in turn, again and again, so that a machine whose speed drifts is the same to all. */
import { load } from './load.ts';
import type { ServerProcess } from './server-process.ts';

/** A request to a server, to be measured. */
export interface Subject {
  readonly title: string;
  readonly server: ServerProcess;
  readonly request: Buffer;
  /** Length of one round. */
  readonly seconds: number;
}

/** One round of a subject; times in milliseconds. */
export interface Round {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** Processor time of the server per request in microseconds; undefined where the kernel does not say. */
  readonly cpuPerRequest: number | undefined;
}

/** A subject and its rounds, in the order of time. */
export interface Measured extends Subject {
  readonly rounds: readonly Round[];
}

/** Seconds for which a subject is asked before the first round, so that what is measured is compiled code. */
const warmUp = 1.5;

/** Warms every subject up, then measures: so many rounds of each, in turn. */
export async function measure<Name extends string>(
  subjects: Readonly<Record<Name, Subject>>,
  { rounds, connections }: { readonly rounds: number; readonly connections: number },
): Promise<Record<Name, Measured>> {
  const measured = {} as Record<Name, Subject & { rounds: Round[] }>;
  for (const name in subjects) measured[name] = { ...subjects[name], rounds: [] };
  const all = Object.values<Subject & { rounds: Round[] }>(measured);
  for (const { server, request } of all) await load(server.port, request, connections, warmUp);
  for (let round = 0; round < rounds; round += 1) {
    for (const subject of all) subject.rounds.push(await oneRound(subject, connections));
  }
  return measured;
}

async function oneRound({ server, request, seconds: length }: Subject, connections: number): Promise<Round> {
  const before = server.cpuSeconds();
  const { requests, seconds, latencies } = await load(server.port, request, connections, length);
  const after = server.cpuSeconds();
  return {
    requests,
    requestsPerSecond: requests / seconds,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    cpuPerRequest: before === undefined || after === undefined ? undefined : ((after - before) / requests) * 1e6,
  };
}

/** Our requests per second for each one of theirs: the median over rounds that followed each other. */
export function ratio(ours: Measured, theirs: Measured): number {
  return median(
    ours.rounds.map(
      (round, index) => round.requestsPerSecond / (theirs.rounds[index]?.requestsPerSecond ?? Number.NaN),
    ),
  );
}

export function median(values: readonly number[]): number {
  return quantile(Float64Array.from(values).sort(), 0.5);
}

function quantile(ascending: Float64Array, share: number): number {
  return ascending[Math.floor(ascending.length * share)] ?? Number.NaN;
}
