/**
 * A command that cannot be done. A line (or one for each mistake) for the person who typed it, and the exit code: 2
 * where the command is wrong, 1 where something else stands in the way.
 */
export class Failure extends Error {
  readonly exitCode: 1 | 2;
  readonly lines: readonly string[];

  constructor(exitCode: 1 | 2, ...lines: string[]) {
    super(lines.join('\n'));
    this.exitCode = exitCode;
    this.lines = lines;
  }
}

/** The command itself is wrong. */
export function mistake(...lines: string[]): Failure {
  return new Failure(2, ...lines);
}
