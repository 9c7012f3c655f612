/**
 * Owns what an administrator can do: functions from values that were checked to a document, one file for each noun. The
 * command line and the admin API both call them, so that they mean the same; knows neither, and prints nothing.
 */
import type { Passwords } from '../crypto/password.ts';
import type { Schedule } from '../keys/lifecycle.ts';
import type { NumericDate } from '../protocol/time.ts';
import type { Database } from '../store/database.ts';
import type { Revoker } from '../tokens/revocation.ts';

/** What an act works with. */
export interface AdminContext {
  readonly issuer: string;
  /** Whose actor is the administrator, for the audit. */
  readonly database: Database;
  /** Writes what ends sign-ins, tokens and grants. */
  readonly revoker: Revoker;
  readonly passwords: Pick<Passwords, 'hash'>;
  /** By the database's clock. */
  readonly now: NumericDate;
  readonly schedule: Schedule;
  /**
   * Whether it may decide who administers: who holds the machine may. A token of the admin API may not, or it could make
   * more of itself than it was given.
   */
  readonly appoints: boolean;
}

/** `invalid`: asked for wrongly. `not yet`: the same may work later. */
export type Refusal = 'invalid' | 'absent' | 'conflict' | 'forbidden' | 'not yet';

/** An act that is not done. The message is one line for whoever asked; the hint is for who types commands. */
export class AdminError extends Error {
  readonly refusal: Refusal;
  readonly hint: string | undefined;

  constructor(refusal: Refusal, message: string, hint?: string) {
    super(message);
    this.refusal = refusal;
    this.hint = hint;
  }
}

/** Where a page of a list begins and how long it is. */
export interface PageAsked {
  /** The last name of the page before; from the start where there is none. */
  readonly after?: string | undefined;
  readonly limit: number;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** What to give as `after` for the next page; null where this is the last. */
  readonly next: string | null;
}

/** A page of rows in the order of their names: one row more than that is asked for tells whether there is another. */
export async function page<Row, T>(
  { after = '', limit }: PageAsked,
  read: (after: string, limit: number) => Promise<readonly Row[]>,
  nameOf: (row: Row) => string,
  toDocument: (row: Row) => T,
): Promise<Page<T>> {
  const rows = await read(after, limit + 1);
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(toDocument),
    next: rows.length > limit && last !== undefined ? nameOf(last) : null,
  };
}

/** The same of a table that is small enough to be read whole. */
export function pageOf<Row, T>(
  asked: PageAsked,
  rows: readonly Row[],
  nameOf: (row: Row) => string,
  toDocument: (row: Row) => T,
): Promise<Page<T>> {
  const inOrder = [...rows].sort((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1));
  const read = async (after: string, limit: number) => inOrder.filter((row) => nameOf(row) > after).slice(0, limit);
  return page(asked, read, nameOf, toDocument);
}
