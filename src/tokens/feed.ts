/**
 * The revocation feed in memory (docs/revocation-feed.md): the live entries in the order of their ids, as bytes that all
 * readers share. A reader's share is a range of those bytes, so that it costs neither rendering nor memory.
 */
import type { NumericDate } from '../protocol/time.ts';
import type { Revocation } from '../store/revocation.ts';

/** Some entries: the elements of a JSON array, without its brackets. The bytes never change. */
export interface Entries {
  readonly json: Buffer;
  readonly count: number;
}

/** What one reading of the database brought. */
export interface FeedReading {
  /** Names the database as it is, in 16 hexadecimal digits; the feed is named after it. */
  readonly incarnation: string;
  /** Whether `revocations` are all that there are; else they are those after the head. */
  readonly everything: boolean;
  /** In the order of their ids. */
  readonly revocations: readonly Revocation[];
  /** When the reading was asked for: seconds since 1970, with fractions. Undefined where it was only a part. */
  readonly asOf: number | undefined;
}

export interface Feed {
  /** `<feed>-<n>`: all up to here is in it. */
  position(): string;
  /** The `n` of it: the highest id that was read. */
  head(): number;
  /** When the database was last read with success: seconds since 1970, with fractions. */
  asOf(): number;
  /** Changes whenever `after` may answer differently. */
  version(): number;
  /** Whether a position is one that this feed has reached. */
  has(position: string): boolean;
  /** What came after a position; all that is live where this feed does not have it. */
  after(position: string | undefined): Entries;
  /** Takes in a reading; entries that are over by `now` are left out. */
  take(reading: FeedReading, now: NumericDate): void;
  /** Lets go of entries that are over. */
  forget(now: NumericDate): void;
  /**
   * Is told of entries that were not there before, and of a position that changed, after both are in force. Who has read all
   * that was there before needs these alone, even where the feed has another name now.
   */
  onEntries(listener: (entries: Entries) => void): void;
}

const position = /^([0-9a-f]{16})-(0|[1-9][0-9]{0,14})$/;

/** Whether a text is a position in some feed. */
export function isPosition(text: string): boolean {
  return position.test(text);
}

export function createFeed(): Feed {
  let name = '';
  let head = 0;
  let asOf = 0;
  let version = 0;
  let log = createEntryLog();
  const listeners: ((entries: Entries) => void)[] = [];

  const ownPosition = () => `${name}-${head}`;

  /** The `n` of a position in this feed. */
  function reached(since: string | undefined): number | undefined {
    const [, feed, n] = position.exec(since ?? '') ?? [];
    return feed === name && Number(n) <= head ? Number(n) : undefined;
  }

  return {
    position: ownPosition,
    head: () => head,
    asOf: () => asOf,
    version: () => version,

    has: (since) => reached(since) !== undefined,
    after: (since) => log.after(reached(since) ?? 0),

    take(reading, now) {
      const before = { log, head, position: ownPosition(), count: log.after(0).count };
      if (reading.everything) {
        log = createEntryLog();
        name = reading.incarnation;
        head = 0;
      }
      for (const revocation of reading.revocations) if (revocation.expiresAt > now) log.append(render(revocation));
      head = reading.revocations.at(-1)?.id ?? head;
      asOf = reading.asOf ?? asOf;
      const added = reading.everything ? log.without(before.log) : log.after(before.head);
      const isNews = added.count > 0 || ownPosition() !== before.position;
      if (isNews || log.after(0).count !== before.count) version += 1;
      if (isNews) for (const listener of listeners) listener(added);
    },

    forget(now) {
      const live = log.live(now);
      if (live === log) return;
      log = live;
      version += 1;
    },

    onEntries(listener) {
      listeners.push(listener);
    },
  };
}

interface Entry {
  readonly id: number;
  readonly expiresAt: NumericDate;
  readonly json: Buffer;
}

function render({ id, digest, epochBelow, expiresAt }: Revocation): Entry {
  const epoch = epochBelow === null ? '' : `,${epochBelow}`;
  return { id, expiresAt, json: Buffer.from(`["${digest}",${expiresAt}${epoch}]`) };
}

interface EntryLog {
  append(entry: Entry): void;
  /** The entries with a higher id. */
  after(id: number): Entries;
  /** The entries that are not, word for word, in another log. */
  without(other: EntryLog): Entries;
  /** The log without what is over: itself, where that is nothing. */
  live(now: NumericDate): EntryLog;
  entries(): Iterable<Entry>;
}

/** Bytes. Doubles whenever it is full; an entry takes 38 and its epoch. */
const firstCapacity = 4096;

const comma = 0x2c;

function createEntryLog(): EntryLog {
  /** Each entry with a comma after it. What was written stays as it is. */
  let bytes = Buffer.allocUnsafeSlow(firstCapacity);
  const ids: number[] = [];
  const expiries: NumericDate[] = [];
  /** Where each entry ends in `bytes`, its comma included. */
  const ends: number[] = [];

  const startOf = (index: number) => (index === 0 ? 0 : (ends[index - 1] as number));

  function* entries(): Iterable<Entry> {
    for (const [index, id] of ids.entries()) {
      const json = bytes.subarray(startOf(index), (ends[index] as number) - 1);
      yield { id, expiresAt: expiries[index] as number, json };
    }
  }

  const log: EntryLog = {
    entries,

    append({ id, expiresAt, json }) {
      const start = startOf(ids.length);
      const end = start + json.length + 1;
      if (end > bytes.length) {
        const larger = Buffer.allocUnsafeSlow(bytes.length * 2);
        bytes.copy(larger, 0, 0, start);
        bytes = larger;
      }
      json.copy(bytes, start);
      bytes[end - 1] = comma;
      ids.push(id);
      expiries.push(expiresAt);
      ends.push(end);
    },

    after(id) {
      let first = 0;
      for (let end = ids.length; first < end; ) {
        const middle = (first + end) >>> 1;
        if ((ids[middle] as number) <= id) first = middle + 1;
        else end = middle;
      }
      const start = startOf(first);
      return { json: bytes.subarray(start, Math.max(start, startOf(ids.length) - 1)), count: ids.length - first };
    },

    without(other) {
      const known = new Set<string>();
      for (const { json } of other.entries()) known.add(json.toString());
      const added: string[] = [];
      for (const { json } of entries()) if (!known.has(json.toString())) added.push(json.toString());
      return { json: Buffer.from(added.join(',')), count: added.length };
    },

    live(now) {
      if (expiries.every((expiresAt) => expiresAt > now)) return log;
      const live = createEntryLog();
      for (const entry of entries()) if (entry.expiresAt > now) live.append(entry);
      return live;
    },
  };
  return log;
}
