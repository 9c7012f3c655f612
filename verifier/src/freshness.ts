/** How old what is known of revocations is, by two clocks of which each may be wrong. */
import type { Clocks } from './document.ts';
import type { Seconds } from './options.ts';

export interface Freshness {
  /**
   * The issuer has said what it knew at `asOf`, by its clock, and said it `delay` seconds after that. What is older
   * than what has been heard before changes nothing.
   */
  heard(asOf: Seconds, delay: Seconds): void;
  /** The age of what is known; infinite before anything is. */
  staleness(): Seconds;
  /** A time by the issuer's clock that has certainly come; 0 before anything is known. */
  issuerTime(): Seconds;
  /** When, by the issuer's clock, all was known that is known here; 0 before anything is. */
  asOf(): Seconds;
}

/** By so much a clock may be ahead of the issuer's before that makes what is known look old. */
const tolerance: Seconds = 10;

export function createFreshness({ now, monotonic }: Clocks): Freshness {
  /** `at`: what the monotonic clock said at `asOf`. */
  let known: { asOf: Seconds; at: Seconds } | undefined;
  return {
    heard(asOf, delay) {
      const at = monotonic() / 1000 - Math.max(0, delay);
      if (known === undefined || at >= known.at) known = { asOf, at };
    },
    staleness() {
      if (known === undefined) return Number.POSITIVE_INFINITY;
      return Math.max(monotonic() / 1000 - known.at, now() / 1000 - known.asOf - tolerance);
    },
    issuerTime: () => (known === undefined ? 0 : known.asOf + monotonic() / 1000 - known.at),
    asOf: () => known?.asOf ?? 0,
  };
}
