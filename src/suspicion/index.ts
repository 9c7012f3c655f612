/**
 * Owns what counts as suspicious, and who is told of it: the log, the audit, the metric, and whoever EVENTS_URL names. Must
 * not know HTTP, nor how what it is shown was seen; it ends nothing and refuses nobody.
 */
import type { Logger } from 'pino';
import { digestSecret, newId } from '../crypto/handle.ts';
import type { ForgedToken, Observation } from '../protocol/observation.ts';
import type { RuleName } from '../protocol/suspicion.ts';
import type { Seconds } from '../protocol/time.ts';
import type { Database } from '../store/database.ts';
import { countTogether, tellSuspicion } from '../store/suspicion.ts';
import { createEvents, type EventsOptions } from './events.ts';
import type { Finding, Rule, Sight } from './rule.ts';
import { forgedTokens, forgeryWindow } from './rules/forged-tokens.ts';
import { grantInTwoPlaces } from './rules/grant-in-two-places.ts';
import { codeReplay, refreshTokenReuse } from './rules/reuse.ts';
import { manyAccounts, manyAddresses } from './rules/sign-in.ts';
import { createTally } from './tally.ts';

/** Every rule. */
function rules(accessTokenTtl: Seconds): Rule[] {
  return [refreshTokenReuse, codeReplay, grantInTwoPlaces(accessTokenTtl), manyAccounts, manyAddresses, forgedTokens];
}

/**
 * Of one rule and one target one suspicion is told in so long, whichever instance finds it: who attacks for an hour fills
 * neither the audit nor anybody's inbox.
 */
export const quietFor: Seconds = 600;

/** So many forged tokens are counted here before the instances count them together: they may hide nine in each. */
const together = 10;

/** Keys of which something is remembered, each some 150 bytes. */
export const mostRemembered = 10_000;

/** Statements of ours that may be under way for floods: nobody's tokens wait behind them. */
const atOnce = 2;

/** After one that failed, none for so long. */
const pause: Seconds = 10;

export interface SuspicionsOptions {
  readonly database: Database;
  readonly log: Pick<Logger, 'warn' | 'error'>;
  /** Life of an access token, by which grants are refreshed. */
  readonly accessTokenTtl: Seconds;
  /** How events are sent, where somebody wants them. */
  readonly events?: EventsOptions | undefined;
  /** Counts a suspicion that was told. */
  readonly onTold?: ((rule: RuleName) => void) | undefined;
}

export interface Suspicions {
  /** Looks at what happened. Resolves when what there was to tell is written down. Never rejects. */
  observe(observation: Observation): Promise<void>;
  /** Sends the events that are due, whoever found them. Resolves when that has been attempted. Never rejects. */
  sendDue(): Promise<void>;
  /** How much is remembered. */
  size(): number;
  /** Resolves when nothing is being written down any more. */
  settled(): Promise<void>;
  /** Lets what is being written down end, and breaks off what is being sent. */
  stop(): Promise<void>;
}

export function createSuspicions(options: SuspicionsOptions): Suspicions {
  const { database, log } = options;
  const all = rules(options.accessTokenTtl);
  const events = options.events && createEvents(options.events);
  const deliver = events !== undefined;
  const tally = createTally(forgeryWindow, mostRemembered);
  /** What was told, by a digest of rule and target, until when it is not told again. */
  const quiet = new Map<string, number>();
  const underWay = new Set<Promise<void>>();
  let counting = 0;
  let pausedUntil = 0;

  /** Counts with the other instances once there are enough. Undefined: not yet. */
  async function count(sight: ForgedToken): Promise<number | undefined> {
    const { at, clientId, whence } = sight;
    const who = clientId === undefined ? whence.address : `client ${clientId}`;
    if (who === undefined) return undefined;
    const key = digestSecret(`${forgedTokens.name}\0${who}`);
    if (tally.add(key, at) < together || counting >= atOnce || at < pausedUntil) return undefined;
    counting += 1;
    try {
      return await countTogether(database, key, tally.take(key), at, at - forgeryWindow);
    } catch (error) {
      pausedUntil = at + pause;
      throw error;
    } finally {
      counting -= 1;
    }
  }

  async function look(sight: Sight): Promise<void> {
    for (const rule of all) {
      const finding = rule.judge(sight);
      if (finding !== undefined) await tell(rule, finding, sight);
    }
  }

  async function tell(rule: Rule, finding: Finding, { at }: Sight): Promise<void> {
    const key = digestSecret(`${rule.name}\0${finding.target}`);
    if ((quiet.get(key) ?? 0) > at) return;
    const suspicion = { ...finding, rule: rule.name };
    const told = await tellSuspicion(database, newId('event'), key, suspicion, at, at - quietFor, deliver);
    quiet.delete(key);
    quiet.set(key, at + quietFor);
    if (quiet.size > mostRemembered) quiet.delete(quiet.keys().next().value as string);
    if (!told.now) return;
    options.onTold?.(rule.name);
    const { target, address, reason } = finding;
    log.warn({ rule: rule.name, target, address, reason }, 'suspicious activity');
    if (deliver && !told.queued) log.error({ rule: rule.name }, 'too many events wait for EVENTS_URL: not sent');
  }

  async function observe(observation: Observation): Promise<void> {
    try {
      if (observation.kind !== 'forged token') return await look(observation);
      const counted = await count(observation);
      if (counted !== undefined) await look({ ...observation, count: counted });
    } catch (err) {
      log.error({ err, observed: observation.kind }, 'what may be suspicious could not be written down');
    }
  }

  async function settled(): Promise<void> {
    await Promise.all(underWay);
  }

  return {
    observe(observation) {
      const done = observe(observation).finally(() => underWay.delete(done));
      underWay.add(done);
      return done;
    },
    sendDue: async () => events?.attemptDue(),
    size: () => tally.size + quiet.size,
    settled,
    async stop() {
      await Promise.all([settled(), events?.stop()]);
    },
  };
}
