/** How Postgres' timestamps become the domain's seconds, and back. */
import type { NumericDate } from '../protocol/time.ts';

export function toNumericDate(date: Date): NumericDate {
  return Math.floor(date.getTime() / 1000);
}

export function toDate(instant: NumericDate): Date {
  return new Date(instant * 1000);
}

export function toNumericDateOrNull(date: Date | null): NumericDate | null {
  return date === null ? null : toNumericDate(date);
}
