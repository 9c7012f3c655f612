import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { Database } from './database.ts';
import { toDate, toNumericDate } from './instant.ts';

/** An issuer process, as the others see it. */
export interface Instance {
  readonly id: string;
  readonly version: string;
  readonly keyEncryptionKeys: readonly string[];
  readonly startedAt: NumericDate;
}

/** Says that the process is there, by the database's clock, and forgets those not seen for a day. */
export async function reportInstance(database: Database, instance: Instance): Promise<void> {
  await database.query(
    `INSERT INTO instance (id, version, key_encryption_keys, started_at, seen_at) VALUES ($1, $2, $3, $4, now())
     ON CONFLICT (id) DO UPDATE SET key_encryption_keys = EXCLUDED.key_encryption_keys, seen_at = now()`,
    [instance.id, instance.version, [...instance.keyEncryptionKeys], toDate(instance.startedAt)],
  );
  await database.query(`DELETE FROM instance WHERE seen_at < now() - interval '1 day'`);
}

/** The process has ended in good order. */
export async function removeInstance(database: Database, id: string): Promise<void> {
  await database.query('DELETE FROM instance WHERE id = $1', [id]);
}

/** An instance whose last report is older than this is gone, or cut off. */
export const liveFor: Seconds = 60;

/** The instances that have reported within `liveFor`, by the database's clock; the oldest first. */
export async function listLiveInstances(database: Database): Promise<Instance[]> {
  const rows = await database.query<{ id: string; version: string; key_encryption_keys: string[]; started_at: Date }>(
    `SELECT id, version, key_encryption_keys, started_at FROM instance
      WHERE seen_at > now() - make_interval(secs => $1) ORDER BY started_at, id`,
    [liveFor],
  );
  return rows.map(({ id, version, key_encryption_keys, started_at }) => ({
    id,
    version,
    keyEncryptionKeys: key_encryption_keys,
    startedAt: toNumericDate(started_at),
  }));
}
