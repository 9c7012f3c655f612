/** A stream of numbers that look random and are the same for the same seed, so that a failure can be played again. */
export interface Random {
  /** A whole number, both ends included. */
  whole(from: number, to: number): number;
  /** The same, but one of the two ends as often as not: what breaks, breaks there. */
  extreme(from: number, to: number): number;
  chance(probability: number): boolean;
  pick<T>(choices: readonly [T, ...T[]]): T;
}

/** Mulberry32: 32 bits of state, good enough to choose by. */
export function createRandom(seed: number): Random {
  let state = seed;

  function fraction(): number {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  const whole = (from: number, to: number) => from + Math.floor(fraction() * (to - from + 1));
  return {
    whole,
    extreme: (from, to) => (fraction() < 0.5 ? whole(from, to) : fraction() < 0.5 ? from : to),
    chance: (probability) => fraction() < probability,
    pick: (choices) => choices[whole(0, choices.length - 1)] ?? choices[0],
  };
}
