import type { NumericDate } from './protocol/time.ts';

/** The time that all rooms use: the process clock, corrected by its measured offset to the database's. */
export interface Clock {
  now(): NumericDate;
  /** The same with its fraction. */
  exactNow(): number;
  /** Takes in a measurement, in milliseconds: what the database's clock says minus what ours says, known to ± half of `roundTrip`. */
  measured(offset: number, roundTrip: number): void;
  /** By how much the process clock is wrong, in milliseconds, as far as is known. */
  offset(): number;
}

/** A measurement that took longer than this (milliseconds) says less than the one before. */
const longestRoundTrip = 500;

export function createClock(wallClock: () => number): Clock {
  let offset = 0;
  const exactNow = () => (wallClock() + offset) / 1000;
  return {
    now: () => Math.floor(exactNow()),
    exactNow,
    measured(measuredOffset, roundTrip) {
      if (roundTrip <= longestRoundTrip) offset = measuredOffset;
    },
    offset: () => offset,
  };
}
