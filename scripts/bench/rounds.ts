/** Rounds of load: every subject in turn, again and again, so that a machine whose speed drifts is the same to all. */
import { load, type Walk } from './load.ts';
import type { ServerProcess } from './server-process.ts';

/** What is asked of a server, to be measured. */
export interface Subject {
  readonly title: string;
  readonly server: ServerProcess;
  /** One for each connection. */
  readonly walks: readonly Walk[];
  /** Length of one round. */
  readonly seconds: number;
}

/** One round of a subject; times in milliseconds. */
export interface Round {
  readonly walks: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** Processor time of the server per walk in microseconds; undefined where the kernel does not say. */
  readonly cpuEach: number | undefined;
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
  rounds: number,
): Promise<Record<Name, Measured>> {
  const measured = {} as Record<Name, Subject & { rounds: Round[] }>;
  for (const name in subjects) measured[name] = { ...subjects[name], rounds: [] };
  const all = Object.values<Subject & { rounds: Round[] }>(measured);
  for (const { server, walks } of all) await load(server.port, walks, warmUp);
  for (let round = 0; round < rounds; round += 1) {
    for (const subject of all) subject.rounds.push(await oneRound(subject));
  }
  return measured;
}

async function oneRound({ server, walks: asked, seconds: length }: Subject): Promise<Round> {
  const before = server.cpuSeconds();
  const { walks, seconds, latencies } = await load(server.port, asked, length);
  const after = server.cpuSeconds();
  return {
    walks,
    perSecond: walks / seconds,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    cpuEach: before === undefined || after === undefined ? undefined : ((after - before) / walks) * 1e6,
  };
}

/** How many of ours there are for each one of theirs: the median over rounds that followed each other. */
export function ratio(ours: Measured, theirs: Measured): number {
  return median(ours.rounds.map(({ perSecond }, index) => perSecond / (theirs.rounds[index]?.perSecond ?? Number.NaN)));
}

export function median(values: readonly number[]): number {
  return quantile(Float64Array.from(values).sort(), 0.5);
}

/** The value below which that share of them lies. */
export function quantile(ascending: Float64Array, share: number): number {
  return ascending[Math.floor(ascending.length * share)] ?? Number.NaN;
}
