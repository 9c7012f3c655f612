/** The course of the measurements: what is started, what is asked of it, what is held against what. */
import { createRequire } from 'node:module';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { jwksPath, startBareServers } from './bare.ts';
import { leaveServersCore } from './cores.ts';
import {
  type BenchClient,
  createIssuerSite,
  type IssuerSite,
  registerClient,
  startToFirstToken,
  tokenRequest,
} from './issuer.ts';
import { requestBytes } from './load.ts';
import { describeMachine, type Report, type Row } from './report.ts';
import { type Measured, measure, median, type Round, ratio } from './rounds.ts';
import { firstAnswer, freePort, type ServerProcess, stopServers } from './server-process.ts';

const require = createRequire(import.meta.url);

const pace = { connections: 50, rounds: 6 };
const starts = 5;

export interface BenchOptions {
  /** A Postgres on which databases may be made; undefined for the embedded one. */
  readonly postgres: string | undefined;
  /** File descriptor for what the servers write: the issuer's log. */
  readonly output: number;
}

/** Measures everything, in two minutes at most. Rejects if a single answer is not a good one. Leaves nothing behind. */
export async function bench({ postgres, output }: BenchOptions): Promise<Report> {
  leaveServersCore();
  const site = await createIssuerSite(await freePort(), postgres, output);
  try {
    return await benchAt(site, output);
  } finally {
    await stopServers();
    await site.remove();
  }
}

async function benchAt(site: IssuerSite, output: number): Promise<Report> {
  const issuer = site.start('one core');
  await firstAnswer(issuer, '/health/ready');
  const databaseUrl = await site.databaseUrl();
  const client = await registerClient(databaseUrl);
  const bare = await startBareServers(issuer, site, client, output);

  const database = new pg.Client(databaseUrl);
  database.on('error', () => undefined); // its next statement says so
  await database.connect();
  const before = await countTransactions(database);
  const measured = await measure(subjectsOf(issuer, bare, client), pace);
  const transactions = (await countTransactions(database)) - before;
  const { rows: settings } = await database.query<{ server_version: string }>('SHOW server_version');
  await database.end();
  const rows = Object.values(measured).map(rowOf);

  await stopServers();
  const startTimes: number[] = [];
  for (let start = 0; start < starts; start += 1) startTimes.push(await startToFirstToken(site, client));

  const { token, inlineToken, batchedToken, rsaToken, jwks, bareJwks } = measured;
  const tokens = [...token.rounds, ...rsaToken.rounds].reduce((sum, { requests }) => sum + requests, 0);
  const memory = rows[0]?.peakMemory;
  return {
    takenAt: new Date().toISOString().slice(0, 10),
    machine: describeMachine(),
    load: pace,
    versions: {
      node: process.version,
      fastify: require('fastify/package.json').version,
      postgres: settings[0]?.server_version ?? '?',
    },
    rows,
    targets: [
      { name: 'POST /token ÷ bare, inline', wanted: 'at least', limit: 1.4, measured: ratio(token, inlineToken) },
      { name: 'POST /token ÷ bare, batched', wanted: 'at least', limit: 0.85, measured: ratio(token, batchedToken) },
      { name: 'GET jwks.json ÷ bare', wanted: 'at least', limit: 0.9, measured: ratio(jwks, bareJwks) },
      { name: 'memory under load, MB', wanted: 'at most', limit: 200, measured: memory && memory / 1e6 },
      { name: 'start to first token, s', wanted: 'at most', limit: 1.5, measured: median(startTimes) },
      // The change log is read once a second, whatever the load: far less than a hundredth of a token.
      {
        name: 'transactions per token',
        wanted: 'at most',
        limit: 0,
        measured: Math.floor((transactions / tokens) * 100) / 100,
      },
    ],
  };
}

function subjectsOf(
  issuer: ServerProcess,
  bare: { inline: ServerProcess; batched: ServerProcess },
  client: BenchClient,
) {
  const tokenBytes = (alg: 'ES256' | 'RS256') => {
    const { headers, body } = tokenRequest(client, alg);
    return requestBytes('POST', '/token', headers, body);
  };
  const es256 = { request: tokenBytes('ES256'), seconds: 2.5 };
  const rs256 = { request: tokenBytes('RS256'), seconds: 1.5 };
  const keys = { request: requestBytes('GET', jwksPath, {}), seconds: 2 };
  return {
    token: { title: 'POST /token, ES256: Keyturn', server: issuer, ...es256 },
    inlineToken: { title: 'POST /token, ES256: bare, signing inline', server: bare.inline, ...es256 },
    batchedToken: { title: 'POST /token, ES256: bare, signing in batches', server: bare.batched, ...es256 },
    rsaToken: { title: 'POST /token, RS256: Keyturn', server: issuer, ...rs256 },
    jwks: { title: 'GET jwks.json: Keyturn', server: issuer, ...keys },
    bareJwks: { title: 'GET jwks.json: bare', server: bare.inline, ...keys },
  };
}

function rowOf({ title, server, rounds }: Measured): Row {
  const middle = (figure: (round: Round) => number | undefined) =>
    median(rounds.map((round) => figure(round) ?? Number.NaN));
  return {
    title,
    requestsPerSecond: middle((round) => round.requestsPerSecond),
    p50: middle((round) => round.p50),
    p99: middle((round) => round.p99),
    cpuPerRequest: middle((round) => round.cpuPerRequest),
    peakMemory: server.peakMemory(),
  };
}

/** What has been done in the database so far. Backends tell it with up to a second's delay, so we let that pass. */
async function countTransactions(database: pg.Client): Promise<number> {
  await delay(1_500);
  const { rows } = await database.query<{ count: string }>(
    'SELECT xact_commit + xact_rollback AS count FROM pg_stat_database WHERE datname = current_database()',
  );
  return Number(rows[0]?.count);
}
