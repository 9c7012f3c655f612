/** The course of the measurement of revocations: instances, verifiers, tokens that flow, and a long denylist in the end. */
import { loadavg } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { BenchOptions } from './command.ts';
import { createIssuerSite, type IssuerSite } from './issuer.ts';
import { type BenchClient, register, registerMachines } from './registration.ts';
import { type Flow, type FlowDelays, flow } from './revocation-flow.ts';
import {
  documentLength,
  instanceMemory,
  liveRevocations,
  verifyTargets,
  writeRevocations,
} from './revocation-memory.ts';
import type { RevocationReport } from './revocation-report.ts';
import { firstAnswer, freePort, type ServerProcess, stopServers } from './server-process.ts';
import { startVerifiers } from './verifiers.ts';

const instanceCount = 3;
const verifierCount = 50;
/** A client may have a thousand single tokens void at a time. */
const clientCount = 4;
const entries = 100_000;

const warmUp: Flow = { tokensPerSecond: 200, revokeEvery: 4, revocations: 50 };
const byStream: Flow = { tokensPerSecond: 200, revokeEvery: 4, revocations: 1_000 };
const byPolling: Flow = { tokensPerSecond: 200, revokeEvery: 20, revocations: 150 };

/** What a verifier without a stream may be late by, in ms: it asks every second, looks four times a second whether it is time, and is answered. */
const pollingLimit = 1_000 + 250 + 250;

/** Measures everything, in two minutes where the machine keeps the pace. Rejects if a good token was refused or a bad one was not. Leaves nothing behind. */
export async function benchRevocation({ postgres, output }: BenchOptions): Promise<RevocationReport> {
  const loadBefore = loadavg()[0] ?? Number.NaN;
  const revocations = liveRevocations(entries);
  const held = await instanceMemory(revocations);
  const site = await createIssuerSite(await freePort(), postgres, output);
  try {
    const { instances, ports, postgresVersion, clients, audience } = await startInstances(site);

    async function phase(streamCut: boolean, measured: Flow): Promise<FlowDelays> {
      const spread = Array.from({ length: verifierCount }, (_, index) => ports[index % ports.length] as number);
      const options = { issuer: site.issuer, audience, ports: spread, streamCut };
      const verifiers = await startVerifiers(options, output);
      try {
        if (!streamCut) await flow(verifiers, ports, clients, warmUp);
        return await flow(verifiers, ports, clients, measured);
      } finally {
        await verifiers.stop();
      }
    }
    const stream = await phase(false, byStream);
    const polling = await phase(true, byPolling);

    const peak = () => Math.max(...instances.map((instance) => instance.peakMemory() ?? Number.NaN));
    const peakBefore = peak();
    await writeRevocations(site.databaseUrl, revocations);
    const port = ports[0] as number;
    await untilKnown(port, entries);
    const [plain, gzip, brotli] = [
      await documentLength(port, 'identity'),
      await documentLength(port, 'gzip'),
      await documentLength(port, 'br'),
    ];
    const peakAfter = peak();
    await stopServers();

    return {
      takenAt: new Date().toISOString().slice(0, 10),
      loadBefore,
      embedded: postgres === undefined,
      versions: { node: process.version, postgres: postgresVersion },
      instances: instanceCount,
      verifiers: verifierCount,
      stream: { flow: byStream, delays: stream },
      polling: { flow: byPolling, delays: polling },
      denylist: { entries, ...held, document: { plain, gzip, brotli }, peakBefore, peakAfter },
      targets: [
        { name: 'refused after the answer, p99, ms', wanted: 'at most', limit: 250, measured: stream.each.p99 },
        { name: 'the same, max, ms', wanted: 'at most', limit: 1_000, measured: stream.each.max },
        { name: 'stream cut: max, ms', wanted: 'at most', limit: pollingLimit, measured: polling.each.max },
        { name: `document of ${entries}, gzip, MB`, wanted: 'at most', limit: 3, measured: gzip / 1e6 },
        { name: `document of ${entries}, brotli, MB`, wanted: 'at most', limit: 3, measured: brotli / 1e6 },
        ...(await verifyTargets()),
      ],
    };
  } finally {
    await stopServers();
    await site.remove();
  }
}

interface Started {
  readonly instances: readonly ServerProcess[];
  readonly ports: readonly number[];
  readonly postgresVersion: string;
  readonly clients: readonly BenchClient[];
  readonly audience: string;
}

async function startInstances(site: IssuerSite): Promise<Started> {
  const ports = [site.port, ...(await Promise.all(Array.from({ length: instanceCount - 1 }, freePort)))];
  const instances: ServerProcess[] = [];
  for (const port of ports) {
    const instance = site.start('all cores', port);
    await firstAnswer(instance, '/health/ready'); // the first makes the key-encryption key
    instances.push(instance);
  }
  const { machine } = await register(site.databaseUrl);
  const clients = [machine, ...(await registerMachines(site.databaseUrl, clientCount - 1))];
  await delay(2_000); // every instance knows them by its poll
  const database = new pg.Client(site.databaseUrl);
  database.on('error', () => undefined); // its next statement says so
  await database.connect();
  const { rows } = await database
    .query<{ server_version: string }>('SHOW server_version')
    .finally(() => database.end());
  return {
    instances,
    ports,
    postgresVersion: rows[0]?.server_version ?? '?',
    clients,
    audience: machine.audiences.ES256,
  };
}

/** Waits until an instance's document has so many entries. */
async function untilKnown(port: number, count: number): Promise<void> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${port}/revocations`);
    const { entries: known } = (await response.json()) as { entries: unknown[] };
    if (known.length >= count) return;
    if (performance.now() > deadline) throw new Error(`an instance knows ${known.length} revocations and not ${count}`);
    await delay(200);
  }
}
