/** The course of the measurements: what is started, what is asked of it, what is held against what. */
import { createRequire } from 'node:module';
import pg from 'pg';
import { startBareServers } from './bare.ts';
import type { BenchOptions } from './command.ts';
import { leaveServersCore } from './cores.ts';
import { createIssuerSite, type IssuerSite, startToFirstToken } from './issuer.ts';
import { startPeer } from './peer.ts';
import { register } from './registration.ts';
import { describeMachine, type Report, type Row } from './report.ts';
import { type Measured, measure, median, type Round, ratio } from './rounds.ts';
import { firstAnswer, freePort, stopServers } from './server-process.ts';
import { countStatements } from './statements.ts';
import { machineSubjects, peopleSubjects } from './subjects.ts';

const require = createRequire(import.meta.url);

const pace = { connections: 50, rounds: 6 };
const starts = 5;

/** Measures everything, in three and a half minutes at most. Rejects if a single answer is not a good one. Leaves nothing behind. */
export async function bench({ postgres, output }: BenchOptions): Promise<Report> {
  const site = await createIssuerSite(await freePort(), postgres, output);
  leaveServersCore();
  try {
    return await benchAt(site, postgres === undefined, output);
  } finally {
    await stopServers();
    await site.remove();
  }
}

async function benchAt(site: IssuerSite, embedded: boolean, output: number): Promise<Report> {
  const issuer = site.start('one core');
  await firstAnswer(issuer, '/health/ready');
  const registered = await register(site.databaseUrl);
  const bare = await startBareServers(issuer, site, registered, output);
  const peer = await startPeer(site, registered, pace.connections, output);

  const database = new pg.Client(site.databaseUrl);
  database.on('error', () => undefined); // its next statement says so
  await database.connect();
  const servers = { issuer, bare, peer };
  const machines = await measure(machineSubjects(servers, registered, pace.connections), pace.rounds);
  const memory = issuer.peakMemory();
  const people = await measure(await peopleSubjects(site, servers, registered, pace.connections), pace.rounds);
  const measured = { ...machines, ...people };
  const rows = Object.values(measured).map(rowOf);
  const { rows: settings } = await database.query<{ server_version: string }>('SHOW server_version');
  await database.end();

  await stopServers();
  const statements = await countStatements(site, registered);
  await site.leaveDatabase();
  const startTimes: number[] = [];
  for (let start = 0; start < starts; start += 1) startTimes.push(await startToFirstToken(site, registered.machine));

  const { token, inlineToken, batchedToken, jwks, bareJwks, refresh, peerRefresh, signIn, hashing } = measured;
  return {
    takenAt: new Date().toISOString().slice(0, 10),
    machine: describeMachine(embedded),
    load: pace,
    versions: {
      node: process.version,
      fastify: versionOf('fastify'),
      oidcProvider: versionOf('oidc-provider'),
      postgres: settings[0]?.server_version ?? '?',
    },
    rows,
    targets: [
      { name: 'POST /token ÷ bare, inline', wanted: 'at least', limit: 1.4, measured: ratio(token, inlineToken) },
      { name: 'POST /token ÷ bare, batched', wanted: 'at least', limit: 0.85, measured: ratio(token, batchedToken) },
      { name: 'GET jwks.json ÷ bare', wanted: 'at least', limit: 0.9, measured: ratio(jwks, bareJwks) },
      { name: 'memory while it issues tokens, MB', wanted: 'at most', limit: 200, measured: memory && memory / 1e6 },
      { name: 'start to first token, s', wanted: 'at most', limit: 1.5, measured: median(startTimes) },
      { name: 'refresh ÷ oidc-provider', wanted: 'at least', limit: 1.5, measured: ratio(refresh, peerRefresh) },
      { name: 'POST /sign-in ÷ argon2id alone', wanted: 'at least', limit: 0.8, measured: ratio(signIn, hashing) },
      { name: 'statements: client_credentials', wanted: 'at most', limit: 0, measured: statements.clientCredentials },
      { name: 'statements: POST /sign-in', wanted: 'at most', limit: 3, measured: statements.signIn },
      { name: 'statements: GET /authorize, signed in', wanted: 'at most', limit: 3, measured: statements.authorize },
      { name: 'statements: authorization_code', wanted: 'at most', limit: 1, measured: statements.redeem },
      { name: 'statements: refresh_token', wanted: 'at most', limit: 1, measured: statements.refresh },
    ],
  };
}

function versionOf(name: string): string {
  return require(`${name}/package.json`).version;
}

function rowOf({ title, server, rounds }: Measured): Row {
  const middle = (figure: (round: Round) => number | undefined) =>
    median(rounds.map((round) => figure(round) ?? Number.NaN));
  return {
    title,
    perSecond: middle((round) => round.perSecond),
    p50: middle((round) => round.p50),
    p99: middle((round) => round.p99),
    cpuEach: middle((round) => round.cpuEach),
    peakMemory: server.peakMemory(),
  };
}
