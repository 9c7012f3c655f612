/** What hostile requests and command lines are made of, for how long, and what must never come of them. */
import { doesNotMatch, ok } from 'node:assert/strict';
import fc from 'fast-check';

const seconds = Number(process.env.FUZZ_SECONDS ?? 0);

/** Another walk: SEED=17. `npm run fuzz` goes on for so many seconds with each property. */
export function walk(runs: number): fc.Parameters<unknown> {
  const seed = Number(process.env.SEED ?? 1);
  if (seconds === 0) return { seed, numRuns: runs };
  return { seed, numRuns: Number.POSITIVE_INFINITY, interruptAfterTimeLimit: seconds * 1000 };
}

/** Is in everything that is sent, so that it shows wherever something of that comes back. */
export const mark = 'zq7x';

export const text = fc.string({ unit: 'binary', maxLength: 30 }).map((value) => mark + value);
export const latin1 = fc.uint8Array({ maxLength: 60 }).map((bytes) => mark + Buffer.from(bytes).toString('latin1'));
export const headerValue = latin1.map((value) => value.replace(/[\r\n\0]/g, ''));

/** Names that objects have by themselves. */
export const odd = fc.constantFrom(
  ...['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'then', 'length', ''],
);

/** Values that parsers, databases and pages are known to stumble over; in pages the first shows as markup if it can. */
export const nasty = fc.oneof(
  text,
  odd,
  fc.constantFrom(
    ...[`<${mark}>"'`, '\0', 'a\0b', '\ud800', '\u202e', '%00', '%ff%fe', '../../etc/passwd', "'; DROP TABLE x --"],
    ...['-1', '0', '99999999999999999999', '1e400', 'NaN', 'null', 'true', '[]', '{}', 'http://[::1', 'javascript:1'],
    ...['a'.repeat(5_000), '\r\nSet-Cookie: a=b', 'e30.e30.e30', 'eyJhbGciOiJub25lIn0.e30.', '..', '.'],
  ),
);

/** Nothing of how we work gets out, and nothing of what was sent is taken for markup. */
export function checkGivesNothingAway(answer: string): void {
  doesNotMatch(answer, new RegExp(`<${mark}`, 'i'), 'what was sent comes back as markup');
  doesNotMatch(answer, /node_modules|\n\s+at \S+ \(|\.[jt]s:\d+:\d+|syntax error|invalid byte sequence/);
}

/** None of the secrets, by their names, is in a text. */
export function checkHoldsNone(secrets: Readonly<Record<string, string>>, where: string): void {
  for (const [name, secret] of Object.entries(secrets)) ok(!where.includes(secret), `${name} is there`);
}
