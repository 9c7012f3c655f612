/** Milliseconds since 1970 with fractions: of one machine's processes all by the same clock. */
export function clock(): number {
  return performance.timeOrigin + performance.now();
}
