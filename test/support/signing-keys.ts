/** Rows of signing keys for tests of the lifecycle, and what is done to them. */
import {
  afterStep,
  type KeyRow,
  type KeyStep,
  plan,
  publishedAt,
  scheduleOf,
  signerOf,
} from '../../src/keys/lifecycle.ts';
import type { NumericDate } from '../../src/protocol/time.ts';

export const alg = 'ES256';
export const tokenTtl = 600;
export const schedule = scheduleOf({
  signFor: 10_000,
  jwksMaxAge: 300,
  longestTokenTtl: tokenTtl,
  longestGrant: 20_000,
});
/** When the tests begin. */
export const start: NumericDate = 1_800_000_000;

/** A live key, made as long before it signs as the plan makes it. */
export function key(kid: string, signsFrom: NumericDate, values: Partial<KeyRow> = {}): KeyRow {
  return {
    kid,
    alg,
    createdAt: signsFrom - schedule.signFor,
    signsFrom,
    revokedAt: null,
    sealedPrivateJwk: 'sealed',
    ...values,
  };
}

/** The rows after the steps; new keys take the names in turn, which are separated by spaces. */
export function perform(rows: readonly KeyRow[], steps: readonly KeyStep[], now: NumericDate, names: string): KeyRow[] {
  const unused = names.split(' ');
  return steps.reduce(
    (before, step) => afterStep(before, step, step.act === 'create' ? (unused.shift() ?? '') : '', now),
    [...rows],
  );
}

/** What `keys revoke` and the rotator's next round do together. */
export function revoke(rows: readonly KeyRow[], kid: string | undefined, now: NumericDate, names: string): KeyRow[] {
  const revoked = rows.map((row) => (row.kid === kid ? { ...row, revokedAt: now, sealedPrivateJwk: null } : row));
  return perform(revoked, plan(alg, revoked, now, schedule), now, names);
}

export const due = (rows: readonly KeyRow[], now: NumericDate) => plan(alg, rows, now, schedule).map(withoutReason);
export const withoutReason = ({ reason, ...step }: KeyStep) => step;
export const kids = (rows: readonly KeyRow[]) => rows.map(({ kid }) => kid).join(' ');
export const publishedKids = (rows: readonly KeyRow[], now: NumericDate) => kids(publishedAt(rows, now, schedule));
export const signerKid = (rows: readonly KeyRow[], now: NumericDate) => signerOf(rows, now)?.kid;
