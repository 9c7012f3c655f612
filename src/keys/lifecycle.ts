/**
 * Owns the life of signing keys as pure functions of their rows and the clock: who signs, what is published, what is
 * to be done next. Knows nothing of databases, timers or key material. DESIGN: a phase is never stored.
 *
 *     created ──lead──▶ signsFrom ──────▶ next.signsFrom ──keepPublished──▶ ──────▶ keepRow
 *     │ standby: published │ signing: published │ retired: published         │ withdrawn │ forgotten
 */
import type { SigningKey } from '../protocol/signing-key.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';

/** What the lifecycle needs to know of a signing key. All keys given to one function are of one algorithm. */
export type KeyRow = Pick<SigningKey, 'kid' | 'alg' | 'createdAt' | 'signsFrom' | 'revokedAt' | 'sealedPrivateJwk'>;

/** The times by which keys turn, all in seconds. */
export interface Schedule {
  /** How long a key signs, at least. */
  readonly signFor: Seconds;
  /** How long a key is published before it signs: as long as any cache may hold a JWKS without it. */
  readonly lead: Seconds;
  /** How long a key stays published after the next one has started: as long as a token it signed may live. */
  readonly keepPublished: Seconds;
  /** How long the public half is kept, unpublished, after the next one has started: for what only we verify. */
  readonly keepRow: Seconds;
  /** By how much the clocks of two instances may differ, at most. */
  readonly skew: Seconds;
  /** How late an instance may learn of a change, at most. */
  readonly poll: Seconds;
}

/** The clock difference that instances tolerate among themselves; beyond it an instance is not ready. */
export const clockSkew: Seconds = 5;

/** How often instances read the change log. */
export const pollInterval: Seconds = 1;

/** No verifier of ours fetches the JWKS more often than after so long, whatever its headers say. */
const mostPatient: Seconds = 10;

/** How many keys that no longer sign are published at most: with the standby and the signer that makes four. */
const mostRetired = 2;

/**
 * The schedule that follows from the few numbers an operator may set. Keys sign for longer than was asked where more of
 * them would have to be published than verifiers should have to carry.
 * `lead` counts two caches: a shared one in front of a verifier's own, each as old as `jwksMaxAge` allows, or as verifiers
 * take by themselves where that is very short.
 * `keepPublished` counts the skew three times: a key promoted in a hurry has a `signsFrom` that lies one skew back, by a
 * clock that may be one skew behind that of who withdraws the key before it; and that key's last token may be dated by
 * a clock one skew ahead of that of who verifies it.
 */
export function scheduleOf(times: {
  signFor: Seconds;
  jwksMaxAge: Seconds;
  longestTokenTtl: Seconds;
  longestGrant: Seconds;
}): Schedule {
  const keepPublished = times.longestTokenTtl + pollInterval + 3 * clockSkew;
  return {
    signFor: Math.max(times.signFor, Math.ceil((keepPublished + clockSkew) / mostRetired)),
    lead: Math.max(2 * times.jwksMaxAge, mostPatient) + pollInterval + clockSkew,
    keepPublished,
    keepRow: times.longestGrant + keepPublished,
    skew: clockSkew,
    poll: pollInterval,
  };
}

export type Phase = 'standby' | 'signing' | 'retired' | 'withdrawn' | 'revoked';

/** One change to the rows of one algorithm, and why. */
export type KeyStep =
  | { readonly act: 'create'; readonly alg: string; readonly signsFrom: NumericDate; readonly reason: string }
  | {
      readonly act: 'promote' | 'postpone';
      readonly kid: string;
      readonly signsFrom: NumericDate;
      readonly reason: string;
    }
  | { readonly act: 'erase'; readonly kid: string; readonly reason: string }
  | { readonly act: 'forget'; readonly kid: string; readonly reason: string };

/**
 * The keys in the order in which they sign. A key revoked before it started is not among them: the one before it goes
 * on, even where a faster clock had let the revoked key start, for nothing of the older key is erased or withdrawn yet.
 */
function succession<K extends KeyRow>(keys: readonly K[]): K[] {
  return keys
    .filter((key) => key.revokedAt === null || key.revokedAt > key.signsFrom)
    .sort((a, b) => a.signsFrom - b.signsFrom || (a.kid < b.kid ? -1 : 1));
}

/** The newest key that has started, live or not. No older key ever signs again. */
function newestStarted<K extends KeyRow>(keys: readonly K[], now: NumericDate): K | undefined {
  return succession(keys).findLast((key) => key.signsFrom <= now);
}

/** The key that signs: the newest that has started, if it is live. */
export function signerOf<K extends KeyRow>(keys: readonly K[], now: NumericDate): K | undefined {
  const newest = newestStarted(keys, now);
  return newest?.revokedAt === null ? newest : undefined;
}

/** The published key that signs next. */
export function standbyOf<K extends KeyRow>(keys: readonly K[], now: NumericDate): K | undefined {
  return succession(keys).find((key) => key.signsFrom > now && key.revokedAt === null);
}

/** When a key stopped signing, or will: when the next one starts, or when it was revoked. Null: not in sight. */
export function stopsSigningAt(key: KeyRow, keys: readonly KeyRow[]): NumericDate | null {
  const line = succession(keys);
  const place = line.findIndex(({ kid }) => kid === key.kid);
  if (place === -1) return key.revokedAt;
  const ends = [key.revokedAt, line[place + 1]?.signsFrom].filter((end) => end !== null && end !== undefined);
  return ends.length > 0 ? Math.min(...ends) : null;
}

/** A key's phase at an instant. */
export function phaseOf(key: KeyRow, keys: readonly KeyRow[], now: NumericDate, schedule: Schedule): Phase {
  if (key.revokedAt !== null) return 'revoked';
  if (key.signsFrom > now) return 'standby';
  const stopped = stopsSigningAt(key, keys);
  if (stopped === null || stopped > now) return 'signing';
  return now < stopped + schedule.keepPublished ? 'retired' : 'withdrawn';
}

/**
 * The keys that the JWKS shows: standby, signer, and those of which a token may still be alive. Oldest first. Of these
 * there are no more than two, as none takes its turn before `roomFrom`; it seems otherwise only where tokens were given
 * a longer life than they had when older keys signed.
 */
export function publishedAt<K extends KeyRow>(keys: readonly K[], now: NumericDate, schedule: Schedule): K[] {
  const phases = succession(keys).map((key) => ({ key, phase: phaseOf(key, keys, now, schedule) }));
  const retired = phases.filter(({ phase }) => phase === 'retired').slice(-mostRetired);
  return phases
    .filter(({ key, phase }) => phase === 'standby' || phase === 'signing' || retired.some((one) => one.key === key))
    .map(({ key }) => key);
}

/** From when one key more may retire, so that the JWKS stays small without losing a key whose tokens may be alive. */
function roomFrom(keys: readonly KeyRow[], now: NumericDate, schedule: Schedule): NumericDate {
  const retired = succession(keys).filter((key) => phaseOf(key, keys, now, schedule) === 'retired');
  const first = retired.at(-mostRetired);
  const stopped = retired.length < mostRetired || first === undefined ? null : stopsSigningAt(first, keys);
  // A skew more, since by a slower clock the next standby is published already while the one before is yet to start.
  return stopped === null ? 0 : stopped + schedule.keepPublished + schedule.skew;
}

/** The next instant at which `signerOf` or `publishedAt` answers differently though no row changes. */
export function nextPhaseChange(keys: readonly KeyRow[], now: NumericDate, schedule: Schedule): NumericDate {
  const boundaries = keys.flatMap((key) => {
    const stops = stopsSigningAt(key, keys);
    return stops === null ? [key.signsFrom] : [key.signsFrom, stops, stops + schedule.keepPublished];
  });
  return Math.min(...boundaries.filter((instant) => instant > now), Number.POSITIVE_INFINITY);
}

/**
 * The earliest `signsFrom` of a key that is to sign at once: one skew back, so that slower clocks agree, but later than
 * every key it replaces. One of these may be revoked and yet to start: by a faster clock it had started.
 */
function atOnce(keys: readonly KeyRow[], now: NumericDate, schedule: Schedule): NumericDate {
  const replaced = succession(keys).findLast((key) => key.signsFrom <= now || key.revokedAt !== null);
  return Math.max(now - schedule.skew, replaced === undefined ? 0 : replaced.signsFrom + 1);
}

/**
 * What is due now for the keys of one algorithm, in order, with what each step makes due in turn. Empty most of the
 * time; who plans again after doing it gets nothing.
 */
export function plan(alg: string, keys: readonly KeyRow[], now: NumericDate, schedule: Schedule): KeyStep[] {
  const steps: KeyStep[] = [];
  for (let rows = keys; ; ) {
    const [step] = [...successorDue(alg, rows, now, schedule), ...cleaningDue(rows, now, schedule)];
    if (step === undefined) return steps;
    steps.push(step);
    rows = afterStep(rows, step, `new key ${steps.length}`, now);
  }
}

/** The rows as a step leaves them. `kid` names the key that a `create` makes. */
export function afterStep(keys: readonly KeyRow[], step: KeyStep, kid: string, now: NumericDate): KeyRow[] {
  const changed = (values: Partial<KeyRow>) =>
    keys.map((key) => (step.act !== 'create' && key.kid === step.kid ? { ...key, ...values } : key));
  switch (step.act) {
    case 'create': {
      const { alg, signsFrom } = step;
      return [...keys, { kid, alg, createdAt: now, signsFrom, revokedAt: null, sealedPrivateJwk: '' }];
    }
    case 'promote':
    case 'postpone':
      return changed({ signsFrom: step.signsFrom });
    case 'erase':
      return changed({ sealedPrivateJwk: null });
    case 'forget':
      return keys.filter((key) => key.kid !== step.kid);
  }
}

function successorDue(alg: string, keys: readonly KeyRow[], now: NumericDate, schedule: Schedule): KeyStep[] {
  const signer = signerOf(keys, now);
  const standby = standbyOf(keys, now);
  // A key whose private half was given up stays in its place, published, until another one has taken it.
  if (signer !== undefined && signer.sealedPrivateJwk !== null) {
    if (standby !== undefined) return postponementDue(standby, keys, now, schedule);
    const room = roomFrom(keys, now, schedule);
    const signsFrom = Math.max(now + schedule.lead, signer.signsFrom + schedule.signFor, room);
    return [{ act: 'create', alg, signsFrom, reason: 'no standby is published' }];
  }
  const neverSigned = keys.every((key) => key.signsFrom > now && key.revokedAt === null);
  // The first key of an algorithm that was added: nothing waits for it, so it is published for as long as any other.
  if (standby !== undefined && neverSigned) return [];
  const signsFrom = atOnce(keys, now, schedule);
  if (standby === undefined)
    return [{ act: 'create', alg, signsFrom, reason: 'no key signs, and there is no standby' }];
  if (standby.signsFrom <= signsFrom) return [];
  return [{ act: 'promote', kid: standby.kid, signsFrom, reason: 'no key signs' }];
}

/**
 * A standby starts later than it was to where caches live longer by now than when it was made, or tokens do. Not where
 * it is about to start: somebody may have seen it start.
 */
function postponementDue(standby: KeyRow, keys: readonly KeyRow[], now: NumericDate, schedule: Schedule): KeyStep[] {
  const earliest = Math.max(standby.createdAt + schedule.lead, roomFrom(keys, now, schedule));
  const mayStart = standby.signsFrom - schedule.skew - schedule.poll;
  if (earliest <= standby.signsFrom || now >= mayStart) return [];
  const reason = 'caches or tokens live longer than when it was made';
  return [{ act: 'postpone', kid: standby.kid, signsFrom: earliest, reason }];
}

function cleaningDue(keys: readonly KeyRow[], now: NumericDate, schedule: Schedule): KeyStep[] {
  return keys.flatMap((key): KeyStep[] => {
    const stopped = stopsSigningAt(key, keys);
    if (stopped === null) return [];
    if (now >= stopped + schedule.keepRow) {
      return [{ act: 'forget', kid: key.kid, reason: 'nothing that it signed can be alive' }];
    }
    const unused = key.revokedAt !== null || now >= stopped + schedule.poll + schedule.skew;
    return unused && key.sealedPrivateJwk !== null
      ? [{ act: 'erase', kid: key.kid, reason: 'it no longer signs' }]
      : [];
  });
}

/**
 * What a rotation by hand does: the standby starts as soon as every cache must know it, or, `immediately`, at once; but
 * not while the JWKS has no room for one key more.
 * Undefined where there is no standby, or it starts no later by itself.
 */
export function rotationStep(
  keys: readonly KeyRow[],
  now: NumericDate,
  schedule: Schedule,
  immediately: boolean,
): KeyStep | undefined {
  const standby = standbyOf(keys, now);
  if (standby === undefined) return undefined;
  const known = immediately ? atOnce(keys, now, schedule) : Math.max(now, standby.createdAt + schedule.lead);
  const signsFrom = Math.max(known, roomFrom(keys, now, schedule));
  if (standby.signsFrom <= signsFrom) return undefined;
  return { act: 'promote', kid: standby.kid, signsFrom, reason: 'asked for by hand' };
}
