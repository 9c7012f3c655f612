/**
 * `npm run bench:scale [-- --json]`: an issuer with a million grants and 100,000 clients in its database, in turn with one whose
 * database is empty.
 */
import { openDatabase } from '../../src/store/database.ts';
import { type BenchOptions, command } from './command.ts';
import { leaveServersCore } from './cores.ts';
import { createIssuerSite, type IssuerSite } from './issuer.ts';
import { repeated, requestBytes } from './load.ts';
import { register, tokenRequest } from './registration.ts';
import { describeMachine, renderTargets, type Target } from './report.ts';
import { type Measured, measure, median, ratio, type Subject } from './rounds.ts';
import { firstAnswer, freePort, stopServers } from './server-process.ts';
import { preparePeople } from './subjects.ts';
import { fillTables, type Volume } from './volume.ts';

const volume: Volume = { grants: 1_000_000, clients: 100_000 };
const pace = { connections: 50, rounds: 6 };

/** Medians. */
interface Figures {
  readonly perSecond: number;
  /** Processor time of the issuer for each in microseconds; NaN where the kernel does not say. */
  readonly cpuEach: number;
}

interface Report {
  readonly takenAt: string;
  readonly machine: string;
  readonly volume: Volume;
  readonly rows: readonly { readonly title: string; readonly empty: Figures; readonly full: Figures }[];
  readonly targets: readonly Target[];
}

type Name = 'token' | 'refresh' | 'codeFlow' | 'signIn';
const names: readonly Name[] = ['token', 'refresh', 'codeFlow', 'signIn'];

async function benchScale({ postgres, output }: BenchOptions): Promise<Report> {
  const sites: IssuerSite[] = [];
  try {
    const empty = await createIssuerSite(await freePort(), postgres, output);
    sites.push(empty);
    const full = await createIssuerSite(await freePort(), postgres, output);
    sites.push(full);
    leaveServersCore();
    await fill(full);
    return await compare(await prepare(empty), await prepare(full), postgres === undefined);
  } finally {
    await stopServers();
    for (const site of sites) await site.remove();
  }
}

/** An issuer makes the tables; the one that is measured starts with them full. */
async function fill(site: IssuerSite): Promise<void> {
  const server = site.start('all cores');
  await firstAnswer(server, '/health/ready');
  await server.stop();
  const database = openDatabase(site.databaseUrl, { maxConnections: 1 });
  await fillTables(database, volume).finally(() => database.close());
}

async function prepare(site: IssuerSite): Promise<Record<Name, Subject>> {
  const server = site.start('one core');
  await firstAnswer(server, '/health/ready');
  const registered = await register(site.databaseUrl);
  const { headers, body } = tokenRequest(registered.machine, 'ES256');
  await firstAnswer(server, '/token', { method: 'POST', headers, body });
  const walks = Array.from({ length: pace.connections }, () => repeated(requestBytes('POST', '/token', headers, body)));
  const token = { title: 'POST /token, ES256', server, walks, seconds: 2 };
  return { token, ...(await preparePeople(site, server, registered, pace.connections)) };
}

async function compare(empty: Record<Name, Subject>, full: Record<Name, Subject>, embedded: boolean): Promise<Report> {
  const subjects: Record<string, Subject> = {};
  for (const name of names) Object.assign(subjects, { [`${name}, empty`]: empty[name], [`${name}, full`]: full[name] });
  const measured = await measure(subjects, pace.rounds);
  const pairs = names.map((name) => [measured[`${name}, empty`], measured[`${name}, full`]] as [Measured, Measured]);
  const figures = ({ rounds }: Measured): Figures => ({
    perSecond: median(rounds.map((round) => round.perSecond)),
    cpuEach: median(rounds.map((round) => round.cpuEach ?? Number.NaN)),
  });
  return {
    takenAt: new Date().toISOString().slice(0, 10),
    machine: describeMachine(embedded),
    volume,
    rows: pairs.map(([one, other]) => ({ title: one.title, empty: figures(one), full: figures(other) })),
    targets: pairs.map(([one, other]) => ({
      ...{ name: `${one.title}: full ÷ empty`, wanted: 'at least', limit: 0.9 },
      measured: ratio(other, one),
    })),
  };
}

const inWords = ({ perSecond, cpuEach }: Figures) =>
  `${perSecond.toFixed(0)} per second and ${cpuEach.toFixed(0)} CPU µs each`;

function render({ takenAt, machine, rows, targets }: Report): string {
  return [
    `${takenAt}, ${machine}`,
    `Node ${process.version}; ${volume.grants} grants, ${volume.clients} clients`,
    '',
    ...rows.map(({ title, empty, full }) => `${title}: full ${inWords(full)}, empty ${inWords(empty)}`),
    '',
    ...renderTargets(targets),
    '',
  ].join('\n');
}

await command('bench:scale', benchScale, render);
