import { readFile } from 'node:fs/promises';
import { platform } from 'node:os';
import { join } from 'node:path';
import { Client, DatabaseError } from 'pg';
import { run } from './command.ts';
import { EmbeddedPostgresError } from './error.ts';
import { ifPresent } from './files.ts';
import type { ClusterRecord } from './record.ts';

/** What a cluster's `postmaster.pid` says about the server on it. */
export interface Postmaster {
  pid: number;
  port: number;
  /** False when the file is a leftover: no such process, or another program by now (machine reset, container restart). */
  alive: boolean;
  /** Whether it has its port and lets people in; else it starts, recovers or stops, and the port may yet be another's. */
  ready: boolean;
}

/** The server that `postmaster.pid` in `folder` names; `undefined` where there is none or it speaks of another folder (a copy). */
export async function findPostmaster(folder: string): Promise<Postmaster | undefined> {
  const text = await ifPresent(readFile(join(folder, 'postmaster.pid'), 'utf8'));
  const [pid, itsFolder, , port, , , , status] = text?.split('\n') ?? [];
  if (itsFolder !== folder || !(Number(pid) > 0)) return undefined;
  return {
    pid: Number(pid),
    port: Number(port),
    alive: await isServer(Number(pid), folder),
    ready: status?.trim() === 'ready',
  };
}

/** Whether process `pid` was started on `folder`, as its command line tells. */
async function isServer(pid: number, folder: string): Promise<boolean> {
  if (platform() === 'linux') {
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    return commandLine.split('\0').includes(folder);
  }
  const { output } = await run('/bin/ps', ['-ww', '-o', 'command=', '-p', String(pid)], {});
  return output.includes(` ${folder} `);
}

/** The URL of the issuer's database. */
export function databaseUrl(port: number, password: string): string {
  return `postgresql://keyturn:${password}@127.0.0.1:${port}/keyturn`;
}

/** A connection as `keyturn` to the server with process id `pid`. */
export interface Session {
  client: Client;
  url: string;
  pid: number;
}

/**
 * Logs in to the server on the recorded folder. 'absent': none runs; 'busy': one runs, and starts, recovers or
 * stops just now. A server that answers but does not let us in is an error.
 */
export async function connect(record: ClusterRecord): Promise<Session | 'busy' | 'absent'> {
  const postmaster = await findPostmaster(record.folder);
  if (!postmaster?.alive) return 'absent';
  if (!postmaster.ready) return 'busy';
  const url = databaseUrl(postmaster.port, record.password);
  const client = new Client({
    connectionString: url,
    ssl: false, // whatever PGSSLMODE says
    connectionTimeoutMillis: 5000,
    application_name: 'keyturn: one issuer per folder',
  });
  client.on('error', () => {}); // whoever waits for its end learns of it
  try {
    await client.connect();
    return { client, url, pid: postmaster.pid };
  } catch (cause) {
    void client.end().catch(() => {});
    const cannotConnectNow = '57P03';
    if (!(cause instanceof DatabaseError) || cause.code === cannotConnectNow) return 'busy';
    throw new EmbeddedPostgresError(`the database in ${record.folder} refuses its own issuer: ${cause.message}`, {
      cause,
    });
  }
}
