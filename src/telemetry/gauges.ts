import { Gauge, type Registry } from 'prom-client';
import { nextPhaseChange, type Schedule, signerOf } from '../keys/lifecycle.ts';
import type { SigningKey } from '../protocol/signing-key.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';

/** What the process observes of itself, each time it is asked. */
export interface Observed {
  now(): NumericDate;
  keys(): readonly SigningKey[];
  /** How many private halves could not be opened. */
  lockedKeys(): number;
  schedule(): Schedule;
  feed: {
    readonly asOf: () => number;
    readonly entries: () => number;
    readonly bytes: () => number;
    readonly readers: () => number;
  };
  passwords(): { readonly running: number; readonly waiting: number };
  pool: { readonly totalCount: number; readonly idleCount: number; readonly waitingCount: number };
  /** By how much the process clock is wrong. */
  clockOffset(): Seconds;
  /** How much is still to reach somebody outside, by table; rejects while that cannot be known. */
  deliveriesWaiting(): Promise<Readonly<Record<string, number>>>;
  ready(): boolean;
}

export function registerGauges(registry: Registry, observed: Observed): void {
  function gauge(name: string, help: string, read: () => number): void {
    new Gauge({ name, help, registers: [registry], collect: gaugeOf(read) });
  }
  /** One value for each algorithm that has a key which signs. */
  function gaugePerAlgorithm(name: string, help: string, read: (keys: readonly SigningKey[]) => number): void {
    new Gauge({
      name,
      help,
      labelNames: ['alg'],
      registers: [registry],
      collect() {
        this.reset();
        for (const [alg, keys] of byAlgorithm(observed.keys())) this.set({ alg }, read(keys));
      },
    });
  }

  const { feed, pool, now } = observed;
  gauge('keyturn_ready', 'Whether this process should get traffic.', () => Number(observed.ready()));
  gauge(
    'keyturn_database_read_age_seconds',
    'Since the database was last read with success.',
    () => now() - feed.asOf(),
  );
  gauge('keyturn_clock_offset_seconds', "The database's clock minus this process's.", observed.clockOffset);
  gauge('keyturn_database_connections', 'Connections to the database that are open.', () => pool.totalCount);
  gauge('keyturn_database_connections_idle', 'Of those, the ones that nobody uses.', () => pool.idleCount);
  gauge('keyturn_database_requests_waiting', 'Who waits for a connection.', () => pool.waitingCount);
  gauge('keyturn_revocations', 'Entries of the denylist that are alive.', feed.entries);
  gauge('keyturn_revocation_feed_bytes', 'What a reader who has nothing yet is sent.', feed.bytes);
  gauge('keyturn_revocation_readers', 'Streams of revocations that are open.', feed.readers);
  gauge('keyturn_passwords_hashing', 'Passwords that are being hashed.', () => observed.passwords().running);
  gauge('keyturn_passwords_waiting', 'Passwords that wait to be hashed.', () => observed.passwords().waiting);
  gauge('keyturn_signing_keys_locked', 'Private keys that could not be opened.', observed.lockedKeys);
  gaugePerAlgorithm('keyturn_signing_key_age_seconds', 'Since the key that signs began to.', (keys) => {
    const signer = signerOf(keys, now());
    return signer === undefined ? Number.NaN : now() - signer.signsFrom;
  });
  gaugePerAlgorithm('keyturn_signing_keys', 'Keys in the table, whatever their phase.', (keys) => keys.length);
  gaugePerAlgorithm(
    'keyturn_next_phase_seconds',
    'Until a key of the algorithm begins to sign, is published, or is not any more.',
    (keys) => nextPhaseChange(keys, now(), observed.schedule()) - now(),
  );
  new Gauge({
    name: 'keyturn_deliveries_waiting',
    help: 'What is still to reach somebody outside, by whichever instance; nothing is said while the database is away.',
    labelNames: ['table'],
    registers: [registry],
    async collect() {
      this.reset();
      const waiting = await observed.deliveriesWaiting().catch(() => ({}));
      for (const [table, count] of Object.entries(waiting)) this.set({ table }, count);
    },
  });
}

function gaugeOf(read: () => number): (this: Gauge) => void {
  return function collect() {
    this.set(read());
  };
}

function byAlgorithm(keys: readonly SigningKey[]): Map<string, SigningKey[]> {
  const grouped = new Map<string, SigningKey[]>();
  for (const key of keys) grouped.set(key.alg, [...(grouped.get(key.alg) ?? []), key]);
  return grouped;
}
