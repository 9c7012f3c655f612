import type { Suspicion } from '../protocol/suspicion.ts';
import type { NumericDate } from '../protocol/time.ts';
import type { Database } from './database.ts';
import { claimDue, type DeliveryRow } from './delivery.ts';
import { toNumericDate } from './instant.ts';

/** A suspicion that somebody has to be told of. */
export interface EventDelivery extends DeliveryRow {
  readonly suspicion: Suspicion;
  readonly at: NumericDate;
}

interface Row extends DeliveryRow {
  event: Suspicion;
  created_at: Date;
}

/** Takes events that are due, each for one caller. Until then nobody else attempts them. */
export async function claimDueEvents(
  database: Database,
  now: NumericDate,
  until: NumericDate,
  limit: number,
): Promise<EventDelivery[]> {
  const columns = 'id, attempts, event, created_at';
  const rows = await claimDue<Row>(database, 'event_delivery', columns, now, until, limit);
  return rows.map(({ id, attempts, event, created_at }) => {
    return { id, attempts, suspicion: event, at: toNumericDate(created_at) };
  });
}
