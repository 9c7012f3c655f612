import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ProtocolError } from '../../protocol/error.ts';
import { type Entries, type Feed, isPosition } from '../../tokens/feed.ts';
import { acceptedCoding, type Coding, compress } from '../compression.ts';
import { matches } from '../document.ts';
import type { Endpoint } from '../endpoint.ts';
import { parseForm } from '../form.ts';
import { queryOf } from '../request.ts';

export interface RevocationsServices {
  readonly issuer: string;
  readonly feed: Feed;
  /** Seconds since 1970, with fractions. */
  exactNow(): number;
}

/** Bytes below which a document fits into a packet or two, and compressing it gains nothing. */
const small = 2_000;

/** Bytes from which on a document is neither copied nor sent without a limit of time. */
const large = 64 * 1024;

/** Milliseconds in which a large document has to be taken, so that slow readers do not keep old ones in memory. */
const sendingTime = 30_000;

/** Seconds for which any cache may keep an answer, and we ourselves the whole denylist where it is large. */
const maxAge = 1;

/** How many deltas are kept: readers who follow the feed ask for the same few. */
const keptDeltas = 4;

/** What a page of another origin needs to know how old the answer is. */
const exposed = 'Age, Date, ETag, Revocations-As-Of';

interface Rendered {
  readonly version: number;
  /** When it was rendered: seconds since 1970, with fractions. */
  readonly at: number;
  /** As long as it is the newest it is confirmed by each reading of the database. */
  asOf: number;
  readonly etag: string;
  readonly parts: readonly Buffer[];
  readonly length: number;
  readonly coded: Map<Coding, Promise<Buffer>>;
}

/**
 * The denylist, whole or what came after a position (docs/revocation-feed.md). Asks the database nothing, and does no work
 * that grows with the denylist for one reader alone: large deltas are sent as they are, and the whole is compressed once a
 * second at most, however often it changes.
 */
export function revocationsEndpoint({ issuer, feed, exactNow }: RevocationsServices): Endpoint {
  const begin = `{"issuer":${JSON.stringify(issuer)},"id":"`;
  let whole: Rendered | undefined;
  /** Those of the newest version, by how many entries are in them, which says which: all end at the head. */
  const deltas = new Map<number, Rendered>();

  function render({ json, count }: Entries): Rendered {
    const parts = [Buffer.from(`${begin}${feed.position()}","entries":[`), json, Buffer.from(']}')];
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    // Weak, as one tag stands for all codings (RFC 9110 §8.8.1). Up to one head entries only leave, in a fixed order.
    const etag = `W/"${feed.position()}.${count}"`;
    return { version: feed.version(), at: exactNow(), asOf: feed.asOf(), etag, parts, length, coded: new Map() };
  }

  function wholeDocument(): Rendered {
    const age = exactNow() - (whole?.at ?? 0);
    const young = whole !== undefined && whole.length >= large && age >= 0 && age < maxAge;
    if (whole === undefined || (whole.version !== feed.version() && !young)) whole = render(feed.after(undefined));
    if (whole.version === feed.version()) whole.asOf = feed.asOf();
    return whole;
  }

  function deltaAfter(since: string): Rendered {
    const entries = feed.after(since);
    const [any] = deltas.values();
    if (any?.version !== feed.version()) deltas.clear();
    const known = deltas.get(entries.count) ?? render(entries);
    if (known.length < large && deltas.size < keptDeltas) deltas.set(entries.count, known);
    known.asOf = feed.asOf();
    return known;
  }

  function codedIn(coding: Coding, document: Rendered): Promise<Buffer> | undefined {
    if (document.length < small || (document.length >= large && document !== whole)) return undefined;
    const coded = document.coded.get(coding) ?? compress(Buffer.concat(document.parts), coding);
    document.coded.set(coding, coded);
    return coded;
  }

  async function handle(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const since = parseForm(queryOf(request)).get('since');
    if (since !== undefined && !isPosition(since)) {
      throw new ProtocolError('invalid_request', 'since is not a position of the feed');
    }
    const document = since !== undefined && feed.has(since) ? deltaAfter(since) : wholeDocument();
    reply.headers({
      etag: document.etag,
      vary: 'Accept-Encoding',
      'cache-control': `public, max-age=${maxAge}`,
      'access-control-expose-headers': exposed,
      'revocations-as-of': document.asOf.toFixed(3),
      // By the clock that the other is by, and rounded up, as their difference is an age.
      date: new Date(Math.ceil(exactNow()) * 1000).toUTCString(),
    });
    if (matches(request.headers['if-none-match'], document.etag)) return reply.code(304).send();
    const coding = acceptedCoding(request.headers['accept-encoding']);
    const coded = coding && (await codedIn(coding, document));
    reply.type('application/json');
    if (coded !== undefined) reply.header('content-encoding', coding);
    const length = coded?.length ?? document.length;
    if (length < large) return reply.send(coded ?? Buffer.concat(document.parts));
    limitSending(reply);
    return reply.header('content-length', length).send(Readable.from(coded === undefined ? document.parts : [coded]));
  }

  return {
    path: '/revocations',
    method: 'GET',
    readableBy: 'anyone',
    metadata: (url) => ({ revocations_endpoint: url }),
    handle,
  };
}

function limitSending({ raw }: FastifyReply): void {
  const late = setTimeout(() => raw.destroy(), sendingTime).unref();
  raw.once('close', () => clearTimeout(late));
}
