/** What the lifecycle of keys promises, each as a check of a whole history that answers what broke it. */
import type { KeyRow } from '../../src/keys/lifecycle.ts';
import { type History, roundTime, type Stretch } from './simulation.ts';
import { type Millis, reading } from './simulation-setting.ts';

type Check = (history: History) => string[];

/** From and until, the end not being part of it. */
interface Interval {
  readonly from: Millis;
  readonly until: Millis;
}

/** All that is checked, by what must be true. */
export const promises: Readonly<Record<string, Check>> = {
  'every cache as old as allowed verifies every living token': everyTokenIsVerifiable,
  'no row is forgotten while something that only we verify may live': rowsAreKept,
  'at one moment two keys sign only shortly after a change': oneSigner,
  'a key never signs again once a newer one has started': noneComesBack,
  'the private half is there as long as the key may sign': privateHalfIsThere,
  'a standby is published while the rotator runs': standbyIsPublished,
  'a key always signs, except shortly after an emergency': signerIsThere,
  'who has learned of a revocation neither signs with nor shows the key': revokedIsGone,
  'the published set stays small': fewArePublished,
};

/**
 * Any token may be verified from the moment it is signed until no clock has it alive, with a JWKS that was fetched from
 * any instance within the two cache lives before. A key put to sign at once may be unknown to caches filled before all
 * instances knew it; a revoked key is to be unknown.
 */
function everyTokenIsVerifiable({ setting, stretches, commits, atOnce }: History): string[] {
  const { schedule, jwksMaxAge, tokenTtl } = setting;
  return [...bySigner(stretches)].flatMap(([kid, signing]) => {
    const expires = Math.max(...signing.map(lastReading)) * 1000 + tokenTtl * 1000 + schedule.skew * 500;
    const born = commits.find(({ rows }) => rows.some((row) => row.kid === kid))?.at ?? 0;
    const revoked = commits.find(({ rows }) => rows.some((row) => row.kid === kid && row.revokedAt !== null));
    const fetched = {
      from: Math.max(
        (signing[0]?.from ?? 0) - 2 * jwksMaxAge * 1000,
        atOnce.has(kid) ? born + schedule.poll * 1000 : 0,
      ),
      until: Math.min(expires, revoked?.at ?? expires),
    };
    return stretches
      .filter((stretch) => overlap(stretch, fetched) > 0 && !stretch.published.has(kid))
      .map((stretch) => `${kid} is not published: ${show(stretch)}, but needed ${span(fetched)}`);
  });
}

/** Refresh tokens and the like live for `longestGrant`, and only we verify them: whoever can have learned of the key. */
function rowsAreKept({ setting, stretches, commits }: History): string[] {
  const { schedule, longestGrant } = setting;
  const end = commits.at(-1)?.rows ?? [];
  return [...bySigner(stretches)].flatMap(([kid, signing]) => {
    if (end.some((row) => row.kid === kid)) return [];
    if (commits.some(({ rows }) => rows.some((row) => row.kid === kid && row.revokedAt !== null))) return [];
    const needed = {
      from: (signing[0]?.from ?? 0) + schedule.poll * 1000,
      until: Math.max(...signing.map(lastReading)) * 1000 + longestGrant * 1000 + schedule.skew * 500,
    };
    return stretches
      .filter((stretch) => overlap(stretch, needed) > 0 && stretch.view.every((row) => row.kid !== kid))
      .map((stretch) => `${kid} is forgotten: ${show(stretch)}, but needed ${span(needed)}`);
  });
}

function oneSigner({ setting, stretches, commits }: History): string[] {
  const { poll, skew } = setting.schedule;
  const signsFrom = new Map(commits.flatMap(({ rows }) => rows.map((row) => [row.kid, row.signsFrom])));
  const turns = [...bySigner(stretches)].map(([kid, signing]) => ({
    kid,
    signsFrom: signsFrom.get(kid) ?? 0,
    from: signing[0]?.from ?? 0,
    until: Math.max(...signing.map(({ until }) => until)),
  }));
  return turns.flatMap((older) =>
    turns
      .filter((newer) => newer.signsFrom > older.signsFrom && older.until - newer.from > (poll + skew) * 1000)
      .filter((newer) => !stretches.some(({ view }) => handsBack(view, newer.kid)))
      .map((newer) => `${older.kid} signs until ${time(older.until)}, ${newer.kid} from ${time(newer.from)}`),
  );
}

/** A key that is revoked no later than it starts, by the clock of who revokes it, hands back to the one before. */
function handsBack(view: readonly KeyRow[], kid: string): boolean {
  return view.some((row) => row.kid === kid && row.revokedAt !== null && row.revokedAt <= row.signsFrom);
}

function noneComesBack({ stretches }: History): string[] {
  const broken: string[] = [];
  for (const life of lives(stretches)) {
    const signed: string[] = [];
    for (const { signer, view, ...stretch } of life) {
      if (signer === undefined || signed.at(-1) === signer.kid) continue;
      const place = signed.indexOf(signer.kid);
      const newer = place === -1 ? [] : signed.slice(place + 1);
      if (newer.some((kid) => !handsBack(view, kid))) broken.push(`${signer.kid} signs again at ${time(stretch.from)}`);
      signed.push(signer.kid);
    }
  }
  return broken;
}

function privateHalfIsThere({ stretches }: History): string[] {
  return stretches
    .filter(({ signer }) => signer?.sealedPrivateJwk === null)
    .map((stretch) => `the private half of ${stretch.signer?.kid} is erased: ${show(stretch)}`);
}

/** Until a clock a skew behind agrees, somebody begins a round, and another one where the first had to make a signer. */
function standbyIsPublished({ setting, stretches, rotatorRan }: History): string[] {
  const { poll, skew } = setting.schedule;
  const without = (stretch: Stretch) => !stretch.standby || !stretch.published.has(stretch.standby.kid);
  return lasting(stretches, without)
    .filter((gap) => total(rotatorRan, gap) > skew * 1000 + 2 * (poll * 1000 + roundTime))
    .map((gap) => `no standby is published ${span(gap)}`);
}

/** Only after a revocation, and then not for longer than others take to learn of it and somebody to begin a round. */
function signerIsThere(history: History): string[] {
  const { stretches, rotatorRan } = history;
  const { poll, skew } = history.setting.schedule;
  const without = (stretch: Stretch) => stretch.signer === undefined;
  const tooLong = lasting(stretches, without)
    .filter((gap) => total(rotatorRan, gap) > (poll + skew) * 1000 + roundTime)
    .map((gap) => `no key signs ${span(gap)}`);
  const unexplained = stretches
    .filter((stretch) => without(stretch) && !explained(stretch, history))
    .map((stretch) => `no key signs, though one should at once: ${show(stretch)}`);
  return [...tooLong, ...unexplained];
}

/**
 * The newest key that has started is revoked, and: there was no standby to promote; or a revoked key has a start that
 * this clock has not passed, so that its successor's could not be set back by a whole skew; or the standby was about to
 * start, and had started where the revoking was done.
 */
function explained({ view, standby, from, offset }: Stretch, { atOnce, setting }: History): boolean {
  const { skew } = setting.schedule;
  const clock = reading(from, offset);
  const line = view.filter((row) => !handsBack(view, row.kid)).sort((a, b) => a.signsFrom - b.signsFrom);
  const newest = line.findLast(({ signsFrom }) => signsFrom <= clock);
  if (newest === undefined || newest.revokedAt === null) return false;
  if (standby === undefined || standby.createdAt >= newest.revokedAt - skew) return true;
  if (line.some(({ signsFrom, revokedAt }) => revokedAt !== null && signsFrom >= clock)) return true;
  return atOnce.get(standby.kid) !== standby.signsFrom && standby.signsFrom - clock <= skew;
}

function revokedIsGone({ stretches }: History): string[] {
  return stretches.flatMap((stretch) =>
    stretch.view
      .filter(({ kid, revokedAt }) => revokedAt !== null && (stretch.signer?.kid === kid || stretch.published.has(kid)))
      .map(({ kid }) => `${kid} is revoked, and yet in use: ${show(stretch)}`),
  );
}

/** Standby, signer, and two that stopped signing within the time that a key stays published, whatever hand hurries. */
function fewArePublished({ stretches }: History): string[] {
  return stretches
    .filter(({ published }) => published.size > 4)
    .map((stretch) => `${stretch.published.size} keys are published: ${show(stretch)}`);
}

/** The stretches in which each key signed. */
function bySigner(stretches: readonly Stretch[]): Map<string, Stretch[]> {
  const signing = stretches.filter(({ signer }) => signer !== undefined);
  return grouped(signing, ({ signer }) => signer?.kid ?? '');
}

/** The stretches of each life of each instance. */
function lives(stretches: readonly Stretch[]): Stretch[][] {
  return [...grouped(stretches, ({ instance, life }) => `${instance} ${life}`).values()];
}

function grouped(stretches: readonly Stretch[], nameOf: (stretch: Stretch) => string): Map<string, Stretch[]> {
  const groups = new Map<string, Stretch[]>();
  for (const stretch of stretches) {
    const group = groups.get(nameOf(stretch));
    if (group === undefined) groups.set(nameOf(stretch), [stretch]);
    else group.push(stretch);
  }
  return groups;
}

/** For how long without a break an instance did what `holds` says. */
function lasting(stretches: readonly Stretch[], holds: (stretch: Stretch) => boolean): Interval[] {
  return lives(stretches).flatMap((life) => {
    const intervals: Interval[] = [];
    for (const { from, until } of life.filter(holds)) {
      const last = intervals.at(-1);
      if (last?.until === from) intervals.splice(-1, 1, { from: last.from, until });
      else intervals.push({ from, until });
    }
    return intervals;
  });
}

function overlap(a: Interval, b: Interval): Millis {
  return Math.max(0, Math.min(a.until, b.until) - Math.max(a.from, b.from));
}

function total(parts: readonly Interval[], whole: Interval): Millis {
  return parts.reduce((sum, part) => sum + overlap(part, whole), 0);
}

/** The last instant that an instance can have written into a token during a stretch. */
function lastReading({ until, offset }: Stretch): number {
  return reading(until - 1, offset);
}

function show(stretch: Stretch): string {
  const rows = stretch.view.map((row) => `${row.kid}@${row.signsFrom}${row.revokedAt === null ? '' : ` (revoked)`}`);
  return `instance ${stretch.instance} (${stretch.offset} ms) ${span(stretch)}, seeing ${rows.join(', ')}`;
}

const span = ({ from, until }: Interval) => `from ${time(from)} until ${time(until)}`;
const time = (at: Millis) => (at / 1000).toFixed(3);
