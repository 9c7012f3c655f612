/** What happens to keys and when, for people: the same functions of rows and clock as the lifecycle, laid out in time. */
import type { NumericDate } from '../protocol/time.ts';
import { type KeyRow, type Phase, phaseOf, type Schedule, stopsSigningAt } from './lifecycle.ts';

/** One turn in the life of a key. */
export interface Moment {
  readonly at: NumericDate;
  readonly what: 'published' | 'signs' | 'retired' | 'erased' | 'withdrawn' | 'revoked' | 'forgotten';
}

/** A key with its phase and all the moments of its life that are in sight, in order. */
export interface KeyLife<K extends KeyRow = KeyRow> {
  readonly key: K;
  readonly phase: Phase;
  readonly moments: readonly Moment[];
}

/** The lives of the keys of one algorithm, the one that signs next first. */
export function livesOf<K extends KeyRow>(keys: readonly K[], now: NumericDate, schedule: Schedule): KeyLife<K>[] {
  return [...keys]
    .sort((a, b) => b.signsFrom - a.signsFrom)
    .map((key) => ({
      key,
      phase: phaseOf(key, keys, now, schedule),
      moments: momentsOf(key, keys, schedule).sort((a, b) => a.at - b.at),
    }));
}

function momentsOf(key: KeyRow, keys: readonly KeyRow[], schedule: Schedule): Moment[] {
  const stopped = stopsSigningAt(key, keys);
  const forgotten: Moment[] = stopped === null ? [] : [{ at: stopped + schedule.keepRow, what: 'forgotten' }];
  const { createdAt, signsFrom, revokedAt } = key;
  const published: Moment = { at: createdAt, what: 'published' };
  // A key made in a hurry has a start that lies a skew back.
  const signs: Moment = { at: Math.max(signsFrom, createdAt), what: 'signs' };
  if (revokedAt !== null) {
    return [published, ...(signsFrom < revokedAt ? [signs] : []), { at: revokedAt, what: 'revoked' }, ...forgotten];
  }
  if (stopped === null) return [published, signs];
  return [
    published,
    signs,
    { at: stopped, what: 'retired' },
    { at: stopped + schedule.poll + schedule.skew, what: 'erased' },
    { at: stopped + schedule.keepPublished, what: 'withdrawn' },
    ...forgotten,
  ];
}

/** Something that will happen to a key by itself. */
export interface KeyEvent extends Moment {
  readonly kid: string;
  readonly alg: string;
}

/** What is to come for the keys of all algorithms, soonest first. */
export function comingEvents(keys: readonly KeyRow[], now: NumericDate, schedule: Schedule): KeyEvent[] {
  const algs = [...new Set(keys.map(({ alg }) => alg))];
  return algs
    .flatMap((alg) =>
      livesOf(
        keys.filter((key) => key.alg === alg),
        now,
        schedule,
      ),
    )
    .flatMap(({ key: { kid, alg }, moments }) =>
      moments.filter(({ at }) => at > now).map((moment): KeyEvent => ({ ...moment, kid, alg })),
    )
    .sort((a, b) => a.at - b.at);
}
