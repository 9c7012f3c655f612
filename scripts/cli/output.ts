/** How commands speak: tables and words for people, one JSON document for programs. */
import type { NumericDate, Seconds } from '../../src/protocol/time.ts';

/** Prints a JSON document where `--json` was given, else the text that `say` makes. */
export function print(json: boolean | undefined, document: object, say: () => string): void {
  process.stdout.write(json ? `${JSON.stringify(document, null, 2)}\n` : `${say()}\n`);
}

/** Text that may come from anywhere: what would steer a terminal is shown, not sent. */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    (sign) => `\\u{${(sign.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** A complaint as one line that can be read at a glance, whatever it repeats of what was typed. */
export function complaint(text: string): string {
  const line = printable(
    text
      .trim()
      .replace(/^error: /, '')
      .replace(/\s*\n\s*/g, ' '),
  );
  return `keyturn: ${line.length > 600 ? `${line.slice(0, 200)}…${line.slice(-300)}` : line}\n`;
}

/** Rows as columns of equal width, under headings. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Names and values, one a line. */
export function facts(values: Readonly<Record<string, string>>): string {
  const width = Math.max(...Object.keys(values).map((name) => name.length));
  return Object.entries(values)
    .map(([name, value]) => `${name.padEnd(width)}  ${value}`)
    .join('\n');
}

const colours = { bold: '1', dim: '2', red: '31', green: '32', yellow: '33', cyan: '36' };

/** A text in a colour where a person sees it: on a terminal, unless NO_COLOR asks for none (no-color.org). */
export function paint(colour: keyof typeof colours, text: string): string {
  const wanted = process.stdout.isTTY && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
  return wanted ? `\x1b[${colours[colour]}m${text}\x1b[0m` : text;
}

const units: [Seconds, string][] = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min'],
  [1, 's'],
];

/** A duration in its two greatest units: `29 d 23 h`, `1 min 5 s`. */
export function durationInWords(duration: Seconds): string {
  let rest = Math.round(Math.abs(duration));
  const words: string[] = [];
  for (const [seconds, unit] of units) {
    const count = Math.floor(rest / seconds);
    if (count > 0 || (words.length === 0 && seconds === 1)) words.push(`${count} ${unit}`);
    else if (words.length > 0) break;
    if (words.length === 2) break;
    rest -= count * seconds;
  }
  return words.join(' ');
}

/** An instant in UTC. */
export function instant(at: NumericDate): string {
  return new Date(at * 1000).toISOString().replace('.000Z', 'Z');
}

/** An instant as seen from now: `in 29 d 23 h`, `5 min ago`. */
export function fromNow(at: NumericDate, now: NumericDate): string {
  if (Math.round(at) === Math.round(now)) return 'now';
  return at > now ? `in ${durationInWords(at - now)}` : `${durationInWords(now - at)} ago`;
}

/** An instant both ways. */
export function when(at: NumericDate, now: NumericDate): string {
  return `${instant(at)} (${fromNow(at, now)})`;
}
