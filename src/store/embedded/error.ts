/** The embedded Postgres cannot do what was asked; `message` is one line for the person who started the issuer. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError';
}

/**
 * The line of a Postgres program's output that says why it gave up: its last FATAL, PANIC or ERROR with the detail
 * that follows it, else its last line; `undefined` when it said nothing.
 */
export function complaintIn(output: string): string | undefined {
  const lines = output
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const at = lines.findLastIndex((line) => /\b(FATAL|PANIC|ERROR|error):/.test(line));
  const reason = lines[at]?.replace(/^.*?\b(?:FATAL|PANIC|ERROR|error):\s*/, '');
  const detail = lines[at + 1]?.match(/DETAIL:\s*(.*)/)?.[1];
  return detail === undefined ? (reason ?? lines.at(-1)) : `${reason} (${detail})`;
}
