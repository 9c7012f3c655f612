/** What the bench says in the end: the figures, and the targets they are held against. */
import { cpus } from 'node:os';
import { coreCount, pinned } from './cores.ts';

/** Medians of a subject's rounds. Milliseconds; the processor time is in microseconds, memory in bytes. */
export interface Row {
  readonly title: string;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** NaN where the kernel does not say. */
  readonly cpuEach: number;
  /** The server's peak over the whole run. */
  readonly peakMemory: number | undefined;
}

export interface Target {
  readonly name: string;
  readonly wanted: 'at least' | 'at most';
  readonly limit: number;
  /** Undefined where this machine cannot say. */
  readonly measured: number | undefined;
}

export interface Report {
  readonly takenAt: string;
  /** Processor, cores, and who had which. */
  readonly machine: string;
  readonly load: { readonly connections: number; readonly rounds: number };
  readonly versions: {
    readonly node: string;
    readonly fastify: string;
    readonly oidcProvider: string;
    readonly postgres: string;
  };
  readonly rows: readonly Row[];
  readonly targets: readonly Target[];
}

/** The machine that it is measured on; `embedded`: whether Postgres runs here for the bench alone. */
export function describeMachine(embedded: boolean): string {
  const postgres = embedded ? 'Postgres on all of them' : 'Postgres where DATABASE_URL says';
  const where = pinned ? `servers on one, load on another, ${postgres}` : 'servers and load on any: figures wander';
  return `${cpus()[0]?.model.trim()}, ${coreCount} cores, ${where}`;
}

export function isReached({ wanted, limit, measured }: Target): boolean | undefined {
  if (measured === undefined) return undefined;
  return wanted === 'at least' ? measured >= limit : measured <= limit;
}

/** The report as a page of plain text. */
export function renderReport({ takenAt, machine, load, versions, rows, targets }: Report): string {
  return [
    `${takenAt}, ${machine}`,
    `Node ${versions.node}, fastify ${versions.fastify}, oidc-provider ${versions.oidcProvider}, Postgres ${versions.postgres}`,
    `${load.connections} connections, medians of ${load.rounds} rounds in turn; every answer was a good one`,
    '',
    ...table(
      ['', 'per second', 'p50 ms', 'p99 ms', 'CPU µs each', 'RSS peak MB'],
      rows.map((row) => [
        row.title,
        row.perSecond.toFixed(0),
        row.p50.toFixed(2),
        row.p99.toFixed(2),
        row.cpuEach.toFixed(1),
        row.peakMemory === undefined ? '?' : (row.peakMemory / 1e6).toFixed(0),
      ]),
    ),
    '',
    ...renderTargets(targets),
    '',
  ].join('\n');
}

/** What is wanted, what was measured, and whether that is enough: lines of text. */
export function renderTargets(targets: readonly Target[]): string[] {
  return table(
    ['', 'measured', 'target', ''],
    targets.map((target) => [
      target.name,
      target.measured === undefined ? '?' : String(Number(target.measured.toPrecision(3))),
      `${target.wanted === 'at least' ? '≥' : '≤'} ${target.limit}`,
      { true: 'reached', false: 'MISSED', undefined: 'not known here' }[String(isReached(target))] ?? '',
    ]),
  );
}

/** Lines of columns: the first to the left, the others to the right. */
export function table(head: readonly string[], body: readonly string[][]): string[] {
  const lines = [head, ...body];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines.map((line) =>
    line
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}
