/** What the bench of revocations says in the end. */
import { cpus } from 'node:os';
import { coreCount } from './cores.ts';
import { renderTargets, type Target, table } from './report.ts';
import type { Delays, Flow, FlowDelays } from './revocation-flow.ts';
import { verifierProcesses } from './verifiers.ts';

/** Times in milliseconds, sizes in bytes. */
export interface RevocationReport {
  readonly takenAt: string;
  /** Of the machine, over the minute before. */
  readonly loadBefore: number;
  /** Whether Postgres runs here for the bench alone. */
  readonly embedded: boolean;
  readonly versions: { readonly node: string; readonly postgres: string };
  readonly instances: number;
  readonly verifiers: number;
  readonly stream: { readonly flow: Flow; readonly delays: FlowDelays };
  readonly polling: { readonly flow: Flow; readonly delays: FlowDelays };
  readonly denylist: {
    readonly entries: number;
    /** What an instance holds for them: the bytes that it sends, and what it looks tokens up in. */
    readonly feed: number;
    readonly denylist: number;
    readonly document: { readonly plain: number; readonly gzip: number; readonly brotli: number };
    /** The most that any instance held (resident set) before they came, and after. */
    readonly peakBefore: number;
    readonly peakAfter: number;
  };
  readonly targets: readonly Target[];
}

/** The report as a page of plain text. */
export function renderRevocationReport(report: RevocationReport): string {
  const { takenAt, loadBefore, embedded, versions, instances, verifiers, stream, polling, denylist, targets } = report;
  const { entries, feed, document, peakBefore, peakAfter } = denylist;
  const postgres = embedded ? 'Postgres' : 'Postgres where DATABASE_URL says';
  const mb = (bytes: number) => (bytes / 1e6).toFixed(1);
  return [
    `${takenAt}, ${cpus()[0]?.model.trim()}, ${coreCount} cores, all of them for everybody; load before: ${loadBefore.toFixed(2)}`,
    `Node ${versions.node}, ${postgres} ${versions.postgres}`,
    `${instances} instances on one Postgres; ${verifiers} verifiers, each with a connection of its own, in ${verifierProcesses} processes`,
    `by stream: ${course(stream)}`,
    `stream cut: ${course(polling)}`,
    'every good token was accepted, every revoked one refused by every verifier',
    '',
    ...table(
      ['ms from the answer of POST /revoke', 'p50', 'p99', 'max'],
      [
        delays('by stream: refused by each verifier', stream.delays.each),
        delays('by stream: refused by the last of them', stream.delays.last),
        delays('stream cut: refused by each verifier', polling.delays.each),
        delays('stream cut: refused by the last of them', polling.delays.last),
        delays('POST /revoke itself, by stream', stream.delays.request),
      ],
    ),
    `the verifier that fared worst, by stream: p99 ${stream.delays.worstVerifierP99.toFixed(1)} ms`,
    '',
    `${entries} live entries: document ${mb(document.plain)} MB, gzip ${mb(document.gzip)} MB, brotli ${mb(document.brotli)} MB`,
    `in each instance: feed ${mb(feed)} MB, denylist ${mb(denylist.denylist)} MB; its peak (RSS) ${mb(peakBefore)} MB before, ${mb(peakAfter)} MB after`,
    '',
    ...renderTargets(targets),
    '',
  ].join('\n');
}

function course({ flow, delays }: { flow: Flow; delays: FlowDelays }): string {
  const { tokensPerSecond, revokeEvery, revocations } = flow;
  const perSecond = tokensPerSecond / revokeEvery;
  return `${tokensPerSecond} tokens a second, ${perSecond} of them revoked; ${revocations} revocations in ${delays.seconds.toFixed(1)} s`;
}

function delays(title: string, { p50, p99, max }: Delays): string[] {
  return [title, ...[p50, p99, max].map((time) => time.toFixed(1))];
}
