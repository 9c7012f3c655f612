/**
 * A command that cannot be done. One line for the person who typed it, and the exit code: 2 where the command is
 * wrong, 1 where something else stands in the way.
 */
export class Failure extends Error {
  readonly exitCode: 1 | 2;

  constructor(exitCode: 1 | 2, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The command itself is wrong. */
export function mistake(message: string): Failure {
  return new Failure(2, message);
}
