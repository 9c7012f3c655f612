/**
 * Reads the change log on behalf of everything that is held in memory: every second, always, and at once when a NOTIFY
 * comes. A notification is only a wake-up, so losing one (a pooler without LISTEN, a broken connection) costs a second.
 */
import type pg from 'pg';
import type { Change, ChangeKind } from './change.ts';
import { changeChannel } from './change.ts';
import type { Database } from './database.ts';
import { forgetBefore } from './forget.ts';

/** What one reading of the log brought. */
export interface Reading {
  /** Changes since the reading before, in commit order. */
  readonly changes: readonly Change[];
  /** Whether changes may have been missed (first reading, a long sleep, a restored database): read everything anew. */
  readonly everything: boolean;
  /** Whether these are all changes there are; else the rest comes in the next readings, which follow at once. */
  readonly complete: boolean;
  /**
   * Names the database as it is, in 16 hexadecimal digits. Another after a restore or a failover, so that what was known of the
   * one says nothing of the other (docs/decisions/0008-name-of-the-feed.md).
   */
  readonly incarnation: string;
  /** When it was asked for, by our clock, in milliseconds: what was committed by then is in it. */
  readonly askedAt: number;
  /** What the database's clock says minus what ours says, in milliseconds; wrong by half of `roundTrip` at most. */
  readonly clockOffset: number;
  /** Milliseconds that the reading took. */
  readonly roundTrip: number;
}

export interface ChangeWatcher {
  /** Reads the log now. Resolves when `onReading` is done with what it brought; rejects as the reading does. */
  read(): Promise<void>;
  /** Begins to read every second and to listen. */
  start(): void;
  stop(): Promise<void>;
}

export interface ChangeWatcherOptions {
  /** Takes in what a reading brought. If it rejects, the next reading brings the same again. */
  onReading(reading: Reading): Promise<void>;
  /** A reading failed; the next follows within a second. */
  onFailure(error: unknown): void;
  /** Our clock, in milliseconds. */
  wallClock(): number;
  /** Milliseconds between readings. */
  interval: number;
}

/** Rows of the log are kept for a day; a reader that has slept for half of that trusts it no more. */
const longSleep = 12 * 3600 * 1000;

const pageSize = 1000;

/**
 * What no way of putting a database back leaves as it was: another cluster, and every failover, file-level restore or point in
 * time, has a server that started at another time; a dump goes into another database, another table, or other files of it.
 */
const incarnation = `
  left(encode(sha256(convert_to(concat_ws(' ',
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::int8,
    (SELECT oid FROM pg_database WHERE datname = current_database()),
    to_regclass('revocation')::oid,
    pg_relation_filenode(to_regclass('revocation'))), 'UTF8')), 'hex'), 16)`;

const readLog = `
    SELECT ${incarnation} AS incarnation,
           (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now,
           (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM change_id_seq)::text AS last,
           (SELECT coalesce(max(id), 0) FROM change)::text AS head,
           (SELECT coalesce(json_agg(json_build_object('id', id::text, 'kind', kind, 'name', name)), '[]'::json)
              FROM (SELECT id, kind, name FROM change WHERE id > $1 ORDER BY id LIMIT ${pageSize}) AS page) AS changes`;

interface LogRow {
  incarnation: string;
  now: number;
  last: string;
  head: string;
  changes: { id: string; kind: ChangeKind; name: string }[];
}

export function watchChanges(database: Database, options: ChangeWatcherOptions): ChangeWatcher {
  let position: bigint | undefined;
  let lastIncarnation: string | undefined;
  let lastReadAt = 0;
  let reading: Promise<void> | undefined;
  let again: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let listener: pg.Client | undefined;
  let stopped = false;

  async function readOnce(): Promise<void> {
    const asked = options.wallClock();
    const [row] = (await database.query<LogRow>(readLog, [String(position ?? 0)])) as [LogRow];
    const answered = options.wallClock();
    const roundTrip = answered - asked;
    const clockOffset = row.now - (asked + roundTrip / 2);
    // `last` counts ids that are not committed yet, so it says only whether the log is still the one we know.
    const sameLog = row.incarnation === lastIncarnation && position !== undefined && BigInt(row.last) >= position;
    const known = sameLog && answered - lastReadAt <= longSleep;
    const changes = known ? row.changes.map(({ id, kind, name }) => ({ id: BigInt(id), kind, name })) : [];
    const complete = changes.length < pageSize;
    const { incarnation } = row;
    await options.onReading({
      changes,
      everything: !known,
      complete,
      incarnation,
      askedAt: asked,
      clockOffset,
      roundTrip,
    });
    lastIncarnation = incarnation;
    position = known ? (changes.at(-1)?.id ?? position) : BigInt(row.head);
    lastReadAt = answered;
    if (!complete) await readOnce();
  }

  /** One reading at a time; who asks while one is under way gets the next, which is sure to see what they saw. */
  function read(): Promise<void> {
    if (reading === undefined) {
      reading = readOnce().finally(() => {
        reading = undefined;
      });
      return reading;
    }
    again ??= reading
      .catch(() => undefined)
      .then(() => {
        again = undefined;
        return read();
      });
    return again;
  }

  async function tick(): Promise<void> {
    try {
      await read();
      if (listener === undefined && !stopped) await listen().catch(() => undefined);
    } catch (error) {
      stopListening();
      options.onFailure(error);
    }
    if (!stopped) timer = setTimeout(tick, options.interval);
  }

  /** After a failure it may be dead without a word; the next reading that succeeds listens anew. */
  function stopListening(): void {
    listener?.end().catch(() => undefined);
    listener = undefined;
  }

  /** Polling goes on whether this works or not, so its failure is nothing to report. */
  async function listen(): Promise<void> {
    const client = database.newClient();
    const forget = () => {
      if (listener === client) listener = undefined;
    };
    client.on('error', forget);
    client.on('end', forget);
    client.on('notification', () => void read().catch(options.onFailure));
    await client.connect();
    if (stopped) return client.end();
    listener = client;
    await client.query(`LISTEN ${changeChannel}`);
    await read().catch(options.onFailure);
  }

  return {
    read,
    start() {
      timer = setTimeout(tick, 0);
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await reading?.catch(() => undefined);
      await listener?.end().catch(() => undefined);
    },
  };
}

/** Forgets log rows older than a day, a few at a time; instances may all do it at once. */
export function forgetOldChanges(database: Database): Promise<number> {
  return forgetBefore(database, 'change', 'at', "now() - interval '1 day'");
}
