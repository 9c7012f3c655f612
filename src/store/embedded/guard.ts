import { setTimeout } from 'node:timers/promises';
import type { Client } from 'pg';
import { connect } from './postmaster.ts';
import type { ClusterRecord } from './record.ts';

/** Holds a database for one issuer. */
export interface Guard {
  /** Resolves, with a line that says why, once the database is ours no more: its server died, or another issuer has it. */
  lost: Promise<string>;
  /** To be called before the server is stopped: from now on its end is no loss. */
  release(): void;
}

/**
 * Takes the database that `client` is connected to for this process alone. 'taken': another process has it; 'gone':
 * the connection broke meanwhile. The mark is a session's advisory lock: it goes with the process, however that ends.
 * Should the connection break later, while both sides live, it is taken again.
 */
export async function takeGuard(client: Client, record: ClusterRecord): Promise<Guard | 'taken' | 'gone'> {
  const first = await takeLock(client);
  if (first !== 'ours') return first;
  let released = false;

  async function watch(held: Client): Promise<string> {
    await new Promise((resolve) => held.once('end', resolve));
    while (!released) {
      const reached = await connect(record).catch(() => 'busy' as const);
      if (released) break;
      if (reached === 'absent') return 'the embedded Postgres has stopped by itself';
      if (reached !== 'busy') {
        const outcome = await takeLock(reached.client);
        if (outcome === 'ours') return watch(reached.client);
        if (outcome === 'taken') return 'another Keyturn has taken the embedded Postgres';
      }
      await setTimeout(100);
    }
    return new Promise(() => {});
  }

  return {
    lost: watch(client),
    release: () => {
      released = true;
    },
  };
}

/** Tries for half a second: the server may not have noticed yet that the last holder is dead. Ends `client` unless 'ours'. */
async function takeLock(client: Client): Promise<'ours' | 'taken' | 'gone'> {
  let outcome: 'taken' | 'gone' = 'taken';
  try {
    for (let tries = 0; tries < 10; tries++) {
      if (tries > 0) await setTimeout(50);
      const { rows } = await client.query('SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS ours', [
        'keyturn: one issuer per folder',
      ]);
      if (rows[0].ours) return 'ours';
    }
  } catch {
    outcome = 'gone';
  }
  void client.end().catch(() => {});
  return outcome;
}
