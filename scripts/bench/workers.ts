/**
 * `npm run bench:workers [-- --json]`: tokens and sign-ins per second of a server with one worker and with two, in turns, in
 * under a minute. Both servers, the load and Postgres share all cores, as on one machine; so what the load takes from them counts.
 */
import { type BenchOptions, command } from './command.ts';
import { createIssuerSite, type IssuerSite } from './issuer.ts';
import { repeated, requestBytes } from './load.ts';
import { type Registered, register, tokenRequest } from './registration.ts';
import { describeMachine, table } from './report.ts';
import { type Measured, measure, median, ratio, type Subject } from './rounds.ts';
import { firstAnswer, freePort, type ServerProcess, stopServers } from './server-process.ts';
import { preparePeople } from './subjects.ts';

const pace = { connections: 50, rounds: 4 };

type Name = 'token' | 'signIn';

interface Row {
  readonly title: string;
  /** Medians, with one worker and with two. */
  readonly one: number;
  readonly two: number;
  /** The median of what two bring for each of one, over rounds that followed each other. */
  readonly ratio: number;
}

interface Report {
  readonly takenAt: string;
  readonly machine: string;
  readonly rows: readonly Row[];
}

async function benchWorkers({ postgres, output }: BenchOptions): Promise<Report> {
  const site = await createIssuerSite(await freePort(), postgres, output);
  try {
    const one = site.start('all cores');
    await firstAnswer(one, '/health/ready');
    const registered = await register(site.databaseUrl);
    const two = site.start('all cores', await freePort(), { WORKERS: '2' });
    await firstAnswer(two, '/health/ready');
    const subjects = { one: await subjectsOf(site, one, registered), two: await subjectsOf(site, two, registered) };
    return await compare(subjects, postgres === undefined);
  } finally {
    await stopServers();
    await site.remove();
  }
}

async function subjectsOf(
  site: IssuerSite,
  server: ServerProcess,
  registered: Registered,
): Promise<Record<Name, Subject>> {
  const { headers, body } = tokenRequest(registered.machine, 'ES256');
  await firstAnswer(server, '/token', { method: 'POST', headers, body });
  const request = requestBytes('POST', '/token', headers, body);
  const walks = Array.from({ length: pace.connections }, () => repeated(request));
  const { signIn } = await preparePeople({ ...site, port: server.port }, server, registered, 1);
  return {
    token: { title: 'POST /token, ES256', server, walks, seconds: 2.5 },
    signIn: { ...signIn, title: 'POST /sign-in' },
  };
}

async function compare({ one, two }: Record<'one' | 'two', Record<Name, Subject>>, embedded: boolean): Promise<Report> {
  const measured = await measure(
    { token1: one.token, token2: two.token, signIn1: one.signIn, signIn2: two.signIn },
    pace.rounds,
  );
  const perSecond = ({ rounds }: Measured) => median(rounds.map((round) => round.perSecond));
  const row = (first: Measured, second: Measured): Row => ({
    title: first.title,
    one: perSecond(first),
    two: perSecond(second),
    ratio: ratio(second, first),
  });
  return {
    takenAt: new Date().toISOString().slice(0, 10),
    machine: describeMachine(embedded),
    rows: [row(measured.token1, measured.token2), row(measured.signIn1, measured.signIn2)],
  };
}

function render({ takenAt, machine, rows }: Report): string {
  return [
    `${takenAt}, ${machine.replace(/cores, .*/, `cores, all of them for the server, the load and Postgres`)}`,
    `Node ${process.version}; ${pace.connections} connections for tokens, medians of ${pace.rounds} rounds in turn`,
    '',
    ...table(
      ['per second', '1 worker', '2 workers', '2 ÷ 1'],
      rows.map(({ title, one, two, ratio }) => [title, one.toFixed(0), two.toFixed(0), ratio.toFixed(2)]),
    ),
    '',
  ].join('\n');
}

await command('bench:workers', benchWorkers, render);
