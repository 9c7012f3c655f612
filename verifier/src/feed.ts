/**
 * Follows the issuer's feed of revocations into the denylist: reads it once, then listens to the stream, and asks every
 * second while there is none. Whatever comes that is not as docs/revocation-feed.md has it ends a connection and
 * nothing else.
 */
import { createBackoff } from './backoff.ts';
import type { Denylist, RevocationEntry } from './denylist.ts';
import type { Clocks, KeptDocument } from './document.ts';
import { readEvents } from './event-stream.ts';
import { createFreshness } from './freshness.ts';
import { type Http, StatusError, type Stream } from './http.ts';
import type { Metadata } from './metadata.ts';
import type { Milliseconds, RevocationStatus, Seconds } from './options.ts';
import { readNews, readPosition, readSnapshot, readTime } from './revocations.ts';

export interface FeedOptions {
  readonly issuer: string;
  readonly metadata: KeptDocument<Metadata>;
  readonly http: Http;
  readonly denylist: Denylist;
  readonly clocks: Clocks;
  /** Nothing is too old where the metadata names no feed. */
  readonly optional: boolean;
  /** The value of the stream's Authorization header, for one of the places kept for clients of the issuer. */
  readonly authorization: string | undefined;
}

export interface Feed {
  /** Does what is due: asks, connects, lets go. To be called several times a second. */
  tick(): void;
  /** Waits for an answer, unless there was none a moment ago. Never rejects. */
  catchUp(): Promise<void>;
  /** The age of what is known: infinite before anything is. */
  staleness(): Seconds;
  /** A time by the issuer's clock that has certainly come; 0 before anything is known. */
  issuerTime(): Seconds;
  status(): Pick<RevocationStatus, 'source' | 'position'>;
  /** Why the last answer or stream was none. */
  failure(): unknown;
  /** Begins nothing from now on, and resolves when nothing is under way; `http` has to be closed. */
  close(): Promise<void>;
}

/** Between two answers while there is no stream. */
const interval: Milliseconds = 1_000;

/** A stream that is silent for so long, or has nothing younger to say, is over. */
const silence: Milliseconds = 30_000;

/** A stream that has lived for so long did not fail. */
const lived: Milliseconds = 10_000;

/** Between two rounds of letting go of entries that are over. */
const forgetting: Milliseconds = 60_000;

/** Characters of a document, and entries in memory: far beyond what any issuer sends, and short of harm. */
const largest = 32_000_000;
const mostEntries = 1_000_000;

export function createFeed(options: FeedOptions): Feed {
  const { issuer, metadata, http, denylist, clocks, optional, authorization } = options;
  const { now, monotonic } = clocks;
  const freshness = createFreshness(clocks);
  const reads = createBackoff(monotonic);
  const streams = createBackoff(monotonic);
  let position: string | undefined;
  let tag: { url: string; etag: string } | undefined;
  let source: RevocationStatus['source'] = 'none';
  /** The metadata names no feed. */
  let absent = false;
  let failure: unknown;
  let reading: Promise<void> | undefined;
  let following: Promise<void> | undefined;
  let stream: Stream | undefined;
  let heardAt: Milliseconds = 0;
  let forgotAt = monotonic();
  let closed = false;

  /** Entries join what is known, and never take its place. */
  function take(entries: RevocationEntry[], at: string): void {
    if (denylist.size + entries.length > mostEntries) throw new Error('more revocations than can be real');
    denylist.add(entries);
    position = at;
  }

  async function read(): Promise<void> {
    const { revocationsEndpoint } = await metadata.get();
    absent = revocationsEndpoint === undefined;
    if (revocationsEndpoint === undefined) {
      if (optional) return;
      throw new Error('the metadata of the issuer names no feed of revocations');
    }
    const url = new URL(revocationsEndpoint);
    if (position !== undefined) url.searchParams.set('since', position);
    const known = tag?.url === url.href ? { 'if-none-match': tag.etag } : {};
    const { status, headers, text } = await http.get(url.href, largest, known);
    const asOf = readTime(headers.get('revocations-as-of'));
    if (status === 200) {
      const snapshot = readSnapshot(text, issuer);
      take(snapshot.entries, snapshot.position);
      const etag = headers.get('etag');
      tag = etag === null ? undefined : { url: url.href, etag };
    }
    const date = Date.parse(headers.get('date') ?? '') / 1000;
    const age = headers.get('age');
    freshness.heard(asOf, readTime(date) - asOf + (age === null ? 0 : readTime(age)));
    if (source === 'none') source = 'polling';
  }

  function readOnce(): Promise<void> {
    reading ??= read()
      .then(
        () => reads.succeeded(interval),
        (error) => {
          failure = error;
          if (source === 'polling') source = 'none';
          reads.failed();
        },
      )
      .finally(() => {
        reading = undefined;
        tick();
      });
    return reading;
  }

  /** Never resolves. */
  async function follow(since: string): Promise<void> {
    const { revocationsStreamEndpoint } = await metadata.get();
    if (revocationsStreamEndpoint === undefined) throw new Error('the metadata of the issuer names no stream');
    const headers = { 'last-event-id': since, ...(authorization !== undefined && { authorization }) };
    stream = await http.stream(revocationsStreamEndpoint, headers);
    heardAt = monotonic();
    for await (const { type, id, data } of readEvents(stream.chunks, largest)) {
      if (type !== 'revocations' && type !== 'heartbeat') continue;
      const { asOf, sentAt, entries } = readNews(data, type);
      if (type === 'revocations') take(entries, readPosition(id));
      else if (source !== 'stream') throw new Error('a heartbeat before all was said');
      source = 'stream';
      freshness.heard(asOf, sentAt - asOf);
      // An instance that is cut off from what is true is no better than a silent one: another may be well.
      if (sentAt - asOf < silence / 1000) heardAt = monotonic();
    }
    throw new Error('the stream has ended');
  }

  function followOnce(since: string): void {
    const begun = monotonic();
    following ??= follow(since).catch((error) => {
      failure = error;
      stream?.abort();
      stream = undefined;
      following = undefined;
      if (source === 'stream') source = 'none';
      if (monotonic() - begun > lived) streams.succeeded();
      streams.failed(error instanceof StatusError ? error.retryAfter : 0);
    });
  }

  function tick(): void {
    if (closed) return;
    if (stream !== undefined && monotonic() - heardAt > silence) stream.abort();
    if (following === undefined && position !== undefined && streams.due()) followOnce(position);
    if (source !== 'stream' && reading === undefined && reads.due()) void readOnce();
    if (monotonic() - forgotAt > forgetting) {
      forgotAt = monotonic();
      // By the issuer's clock, as a token is judged by no earlier one; ours may be ahead for a moment.
      denylist.forget(Math.min(now() / 1000, freshness.asOf()));
    }
  }

  return {
    tick,
    async catchUp() {
      if (reading !== undefined || reads.due()) await readOnce();
    },
    staleness: () => (absent && optional ? 0 : freshness.staleness()),
    issuerTime: freshness.issuerTime,
    status: () => ({ source, position: position ?? null }),
    failure: () => failure,
    async close() {
      closed = true;
      await Promise.all([reading, following]);
    },
  };
}
