/**
 * A made-up life of a whole installation: instances that sleep, crash and come back, each with its own clock and its
 * own late view of the rows, the rotator that all of them run, and a hand on the command line. Whatever happens follows
 * from the seed. It records what each instance did and judges nothing.
 */
import {
  afterStep,
  type KeyRow,
  type KeyStep,
  nextPhaseChange,
  plan,
  publishedAt,
  rotationStep,
  signerOf,
  standbyOf,
  stopsSigningAt,
} from '../../src/keys/lifecycle.ts';
import type { NumericDate } from '../../src/protocol/time.ts';
import { createRandom } from './random.ts';
import { type Act, drawOffset, drawSetting, type Millis, reading, type Setting, starts } from './simulation-setting.ts';

/** What one instance did over a stretch of time in which it did nothing else. `until` is not part of it. */
export interface Stretch {
  readonly instance: number;
  /** Counts the starts of the process. */
  readonly life: number;
  readonly from: Millis;
  readonly until: Millis;
  /** What its clock shows in excess of true time. It tells whole seconds: see `reading`. */
  readonly offset: Millis;
  readonly view: readonly KeyRow[];
  readonly signer: KeyRow | undefined;
  readonly standby: KeyRow | undefined;
  readonly published: ReadonlySet<string>;
}

export interface History {
  readonly setting: Setting;
  /** In the order of `from`. */
  readonly stretches: readonly Stretch[];
  /** The rows as they truly were, from `at` on. */
  readonly commits: readonly { readonly at: Millis; readonly rows: readonly KeyRow[] }[];
  /** Keys that were put to sign at once, by `rotate --now` or since no key signed, and from when. */
  readonly atOnce: ReadonlyMap<string, NumericDate>;
  /** When the hand acted. */
  readonly acts: readonly Millis[];
  /** When somebody ran the rotator. */
  readonly rotatorRan: readonly { readonly from: Millis; readonly until: Millis }[];
}

/** How long it takes an instance, at most, to begin a rotator round, and to make the keys it needs before the lock. */
export const roundTime: Millis = 2_000;

const alg = 'ES256';

interface Instance {
  readonly id: number;
  life: number;
  awake: boolean;
  offset: Millis;
  /** The newest commit that it has learned of. */
  version: number;
  stretch: Omit<Stretch, 'until'> | undefined;
  /** Set alarms and rounds count only if nothing came in between. */
  alarm: number;
  round: number;
}

/** Plays the history of a seed. */
export function simulate(seed: number): History {
  const random = createRandom(seed);
  const setting = drawSetting(random);
  const { schedule, ends } = setting;
  const { signFor } = schedule;

  let now = starts;
  const queue: { at: Millis; run: () => void }[] = [];
  const stretches: Stretch[] = [];
  const commits: { at: Millis; rows: readonly KeyRow[] }[] = [{ at: now, rows: [] }];
  const atOnce = new Map<string, NumericDate>();
  const acts: Millis[] = [];
  const rotatorRan: { from: Millis; until: Millis }[] = [];
  let rotatorRunsSince: Millis | undefined;
  let rotatorOut = false;
  let keysMade = 0;
  const instances = Array.from({ length: setting.instances }, (_, id): Instance => {
    const offset = drawOffset(random, schedule);
    return { id, life: 0, awake: true, offset, version: 0, stretch: undefined, alarm: 0, round: 0 };
  });

  function after(delay: Millis, run: () => void): void {
    const at = now + delay;
    if (at >= ends) return;
    const place = queue.findIndex((event) => event.at > at);
    queue.splice(place === -1 ? queue.length : place, 0, { at, run });
  }

  const truth = () => commits.at(-1)?.rows ?? [];
  const viewOf = (instance: Instance) => commits[instance.version]?.rows ?? [];

  /** Ends what an instance was doing and begins what it does from now on. */
  function observe(instance: Instance): void {
    if (instance.stretch && instance.stretch.from < now) stretches.push({ ...instance.stretch, until: now });
    instance.stretch = undefined;
    const view = viewOf(instance);
    if (!instance.awake || view.length === 0) return;
    const { id, life, offset } = instance;
    const clock = reading(now, offset);
    const published = new Set(publishedAt(view, clock, schedule).map(({ kid }) => kid));
    const [signer, standby] = [signerOf(view, clock), standbyOf(view, clock)];
    instance.stretch = { instance: id, life, from: now, offset, view, signer, standby, published };
    instance.alarm += 1;
    const { alarm } = instance;
    after(untilClock(instance, nextPhaseChange(view, clock, schedule)), () => {
      if (instance.alarm === alarm) observe(instance);
    });
  }

  function untilClock(instance: Instance, instant: NumericDate): Millis {
    return instant * 1000 - instance.offset - now;
  }

  function commit(rows: readonly KeyRow[]): void {
    if (rows === truth()) return;
    const version = commits.push({ at: now, rows }) - 1;
    for (const instance of instances) after(random.extreme(0, schedule.poll * 1000), () => learn(instance, version));
  }

  function learn(instance: Instance, version: number): void {
    if (!instance.awake || instance.version >= version) return;
    instance.version = version;
    observe(instance);
    roundIn(instance, random.extreme(0, 1000));
  }

  function write(rows: readonly KeyRow[], step: KeyStep, clock: NumericDate, immediately = false): readonly KeyRow[] {
    const kid = step.act === 'create' ? `${random.pick(['a', 'b', 'c'])}${++keysMade}` : step.kid;
    const starts = step.act === 'create' || step.act === 'promote';
    if (starts && (immediately || signerOf(rows, clock) === undefined)) atOnce.set(kid, step.signsFrom);
    return afterStep(rows, step, kid, clock);
  }

  function roundIn(instance: Instance, delay: Millis): void {
    instance.round += 1;
    const { round } = instance;
    after(delay, () => {
      if (instance.round === round && instance.awake && !rotatorOut) rotate(instance);
    });
  }

  /** As rotator.ts does it: plan, make keys, take the lock, plan again, write as far as the keys that were made reach. */
  function rotate(instance: Instance): void {
    const due = plan(alg, viewOf(instance), reading(now, instance.offset), schedule);
    if (due.length === 0) {
      roundIn(instance, untilDue(instance) + random.extreme(0, 1000));
      return;
    }
    let made = due.filter(({ act }) => act === 'create').length;
    const { life } = instance;
    after(random.extreme(0, 1000), () => {
      if (instance.life !== life || !instance.awake) return;
      const clock = reading(now, instance.offset);
      let rows = truth();
      for (const step of plan(alg, rows, clock, schedule)) {
        if (step.act !== 'create' || made-- > 0) rows = write(rows, step, clock);
      }
      commit(rows);
      roundIn(instance, 1000);
    });
  }

  /** An instance plans every second; only those rounds are played that may bring something, and now and then another. */
  function untilDue(instance: Instance): Millis {
    const view = viewOf(instance);
    const clock = reading(now, instance.offset);
    const instants = view.flatMap((key) => {
      const stops = stopsSigningAt(key, view) ?? key.signsFrom;
      return [key.signsFrom, stops + schedule.poll + schedule.skew, stops + schedule.keepRow];
    });
    const next = Math.min(...instants.filter((instant) => instant > clock), clock + signFor);
    return untilClock(instance, next);
  }

  function actByHand(): void {
    const clock = reading(now, drawOffset(random, schedule));
    const rows = truth();
    const act = random.pick(setting.acts as [Act, ...Act[]]);
    acts.push(now);
    if (act === 'revoke') {
      const live = rows.filter((key) => key.revokedAt === null);
      const key = random.pick([signerOf(rows, clock), signerOf(rows, clock), standbyOf(rows, clock), ...live]);
      if (key === undefined) return;
      const revoked = { ...key, revokedAt: clock, sealedPrivateJwk: null };
      const rest = rows.map((other) => (other === key ? revoked : other));
      const promotion = plan(alg, rest, clock, schedule).find((step) => step.act === 'promote');
      commit(promotion ? write(rest, promotion, clock) : rest);
    } else {
      const step = rotationStep(rows, clock, schedule, act === 'rotate --now');
      if (step) commit(write(rows, step, clock, act === 'rotate --now'));
    }
    if (random.chance(0.4)) after(random.extreme(0, 1500), actByHand);
  }

  /** Now, or when the clocks disagree whether the standby has started. */
  function actSometime(): void {
    const signsFrom = truth().at(-1)?.signsFrom ?? 0;
    const early = signsFrom * 1000 - now + random.whole(-7_000, 7_000);
    if (random.chance(0.5) && early > 0) after(early, actByHand);
    else actByHand();
  }

  function nap(instance: Instance): void {
    const crash = random.chance(0.5);
    instance.awake = false;
    observe(instance);
    noteRotator();
    after(random.extreme(1_000, signFor * 1500), () => {
      instance.awake = true;
      if (crash) {
        instance.life += 1;
        instance.offset = drawOffset(random, schedule);
      }
      instance.version = commits.length - 1;
      observe(instance);
      noteRotator();
      roundIn(instance, 0);
    });
  }

  function breakRotator(): void {
    rotatorOut = true;
    noteRotator();
    after(random.extreme(1_000, signFor * 3000), () => {
      rotatorOut = false;
      noteRotator();
      for (const instance of instances) roundIn(instance, random.extreme(0, 1000));
    });
  }

  function noteRotator(): void {
    const runs = !rotatorOut && instances.some(({ awake }) => awake);
    if (runs) rotatorRunsSince ??= now;
    else if (rotatorRunsSince !== undefined) {
      rotatorRan.push({ from: rotatorRunsSince, until: now });
      rotatorRunsSince = undefined;
    }
  }

  noteRotator();
  const length = ends - starts;
  for (const instance of instances) {
    roundIn(instance, random.extreme(0, 1000));
    for (let n = random.whole(0, 2); n > 0; n -= 1) after(random.whole(5_000, length), () => nap(instance));
  }
  for (let n = random.pick([0, 0, 1, 2]); n > 0; n -= 1) after(random.whole(5_000, length), breakRotator);
  for (let n = setting.acts.length === 0 ? 0 : random.whole(1, 5); n > 0; n -= 1) {
    after(random.whole(5_000, length), actSometime);
  }
  for (let event = queue.shift(); event !== undefined; event = queue.shift()) {
    now = event.at;
    event.run();
  }
  now = ends;
  for (const instance of instances) {
    instance.awake = false;
    observe(instance);
  }
  noteRotator();
  stretches.sort((a, b) => a.from - b.from);
  return { setting, stretches, commits, atOnce, acts, rotatorRan };
}
