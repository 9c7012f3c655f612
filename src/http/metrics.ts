/**
 * What the process can be watched by (OpenMetrics): counts of what it answered, and what it observes of itself when it is
 * asked. Names no person, no client and no token.
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { nextPhaseChange, type Schedule, signerOf } from '../keys/lifecycle.ts';
import type { SigningKey } from '../protocol/signing-key.ts';
import type { NumericDate } from '../protocol/time.ts';

export interface Metrics {
  /** Counts an answer, by the endpoint's path and its status. */
  answered(path: string, method: string, status: number): void;
  /** Counts an access token, by how it came about and its algorithm. */
  issued(grantType: string, alg: string): void;
  readonly contentType: string;
  render(): Promise<string>;
}

/** What it observes, each time it is asked. */
export interface Observed {
  now(): NumericDate;
  keys(): readonly SigningKey[];
  /** How many private halves could not be opened. */
  lockedKeys(): number;
  schedule(): Schedule;
  feed: { readonly asOf: () => number; readonly entries: () => number; readonly readers: () => number };
  passwords(): { readonly running: number; readonly waiting: number };
  pool: { readonly totalCount: number; readonly idleCount: number; readonly waitingCount: number };
  ready(): boolean;
}

export function createMetrics(observed: Observed): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const answers = new Counter({
    name: 'keyturn_requests_total',
    help: 'Requests that were answered, by endpoint and status.',
    labelNames: ['method', 'path', 'status'],
    registers: [registry],
  });
  const tokens = new Counter({
    name: 'keyturn_access_tokens_total',
    help: 'Access tokens that were issued, by grant type and algorithm.',
    labelNames: ['grant_type', 'alg'],
    registers: [registry],
  });

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
  gauge('keyturn_database_connections', 'Connections to the database that are open.', () => pool.totalCount);
  gauge('keyturn_database_connections_idle', 'Of those, the ones that nobody uses.', () => pool.idleCount);
  gauge('keyturn_database_requests_waiting', 'Who waits for a connection.', () => pool.waitingCount);
  gauge('keyturn_revocations', 'Entries of the denylist that are alive.', feed.entries);
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

  return {
    answered: (path, method, status) => answers.inc({ method, path, status }),
    issued: (grantType, alg) => tokens.inc({ grant_type: grantType, alg }),
    contentType: registry.contentType,
    render: () => registry.metrics(),
  };
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
