/** Waits for Postgres at start. */
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from './database.ts';
import { type DatabaseAddress, DatabaseError, explainDatabaseError, passesByItself, place } from './database-errors.ts';

export interface WaitOptions {
  /** Told in one line why we wait, and again only when the reason is another. */
  onWaiting: (message: string) => void;
  /** Ends the waiting. */
  signal: AbortSignal;
}

/** Milliseconds between attempts: doubled from the first to the last, of which up to half is left to chance. */
const firstDelay = 200;
const longestDelay = 5_000;

/**
 * Resolves once the database answers a statement. Waits as long as it is unavailable; rejects with a `DatabaseError`
 * where waiting is in vain, and with the signal's reason when that aborts.
 */
export async function connectWhenAvailable(database: Database, { onWaiting, signal }: WaitOptions): Promise<void> {
  let said: string | undefined;
  for (let pause = firstDelay; ; pause = Math.min(pause * 2, longestDelay)) {
    try {
      await requirePostgres(database.address, database.patience.connection, signal);
      await database.query('SELECT 1');
      return;
    } catch (error) {
      signal.throwIfAborted();
      const failure = explainDatabaseError(error, database.address);
      const { kind, message } = failure;
      if (!passesByItself(failure)) throw new DatabaseError(kind, message, { cause: error });
      if (message !== said) onWaiting(message);
      said = message;
    }
    await delay(pause * (1 - Math.random() / 2), undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** The SSLRequest of the Postgres protocol: its length, then 1234 and 5679 for a version. */
const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

/**
 * Makes sure that what listens there is Postgres, before `pg` talks to it (which waits for ever on some servers and
 * fails with riddles on others): every Postgres and every pooler answers an SSLRequest with one byte, 'S' or 'N'.
 * Rejects with a `DatabaseError`, or with the socket's error. `timeout` in milliseconds.
 */
export async function requirePostgres(address: DatabaseAddress, timeout: number, signal?: AbortSignal): Promise<void> {
  const answer = await ask(address, timeout, signal);
  const at = place(address);
  if (answer === undefined) {
    throw new DatabaseError('unavailable', `nothing answers as Postgres at ${at} within ${timeout / 1000} s`);
  }
  // Also what a port forwarder does whose Postgres is not up yet.
  if (answer.length === 0) throw new DatabaseError('unavailable', `what listens at ${at} hangs up without an answer`);
  if (answer.length === 1 && (answer[0] === 0x53 || answer[0] === 0x4e)) return;
  // Postgres that has no process left for us: 'E', a line, a zero byte.
  if (answer[0] === 0x45 && answer.at(-1) === 0) {
    throw new DatabaseError('unavailable', `Postgres at ${at} cannot take another connection now`);
  }
  throw new DatabaseError('configuration', `what listens at ${at} is not Postgres`);
}

/** What the server says first: empty where it hangs up, undefined where nobody speaks. */
function ask(address: DatabaseAddress, timeout: number, signal?: AbortSignal): Promise<Buffer | undefined> {
  const { host, port } = address;
  const target = host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port };
  return new Promise((resolve, reject) => {
    const socket = net.connect({ ...target, ...(signal && { signal }) });
    const settle = (answer: Buffer | undefined) => {
      resolve(answer);
      socket.destroy();
    };
    const timer = setTimeout(settle, timeout, undefined);
    socket
      .on('connect', () => socket.write(sslRequest))
      .on('data', settle)
      .on('end', () => settle(Buffer.alloc(0)))
      .on('error', reject)
      .on('close', () => clearTimeout(timer));
  });
}
