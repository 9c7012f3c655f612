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

/** Of one version, the documents that are kept and compressed: the whole, and the deltas that were asked for first. */
const kept = 4;

/** What a page of another origin needs to know how old the answer is. */
const exposed = 'Age, Date, ETag, Revocations-As-Of';

interface Rendered {
  readonly parts: readonly Buffer[];
  readonly length: number;
  readonly coded: Map<Coding, Promise<Buffer>>;
}

/** The denylist, whole or what came after a position (docs/revocation-feed.md). Asks the database nothing. */
export function revocationsEndpoint({ issuer, feed, exactNow }: RevocationsServices): Endpoint {
  const begin = `{"issuer":${JSON.stringify(issuer)},"id":"`;
  /** By how many entries are in them, which says which: all end at the head. */
  const documents = new Map<number, Rendered>();
  let renderedVersion = 0;

  function documentOf({ json, count }: Entries): Rendered {
    if (feed.version() !== renderedVersion) documents.clear();
    renderedVersion = feed.version();
    const known = documents.get(count);
    if (known !== undefined) return known;
    const parts = [Buffer.from(`${begin}${feed.position()}","entries":[`), json, Buffer.from(']}')];
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const document = { parts, length, coded: new Map() };
    if (documents.size < kept) documents.set(count, document);
    return document;
  }

  /** Once for each document and coding. Those that are not kept are sent as they are, so that asking costs no work. */
  function codedIn(coding: Coding, document: Rendered, count: number): Promise<Buffer> | undefined {
    if (document.length < small || documents.get(count) !== document) return undefined;
    const coded = document.coded.get(coding) ?? compress(Buffer.concat(document.parts), coding);
    document.coded.set(coding, coded);
    return coded;
  }

  async function handle(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const since = parseForm(queryOf(request)).get('since');
    if (since !== undefined && !isPosition(since)) {
      throw new ProtocolError('invalid_request', 'since is not a position of the feed');
    }
    const entries = feed.after(since);
    // Weak, as one tag stands for all codings (RFC 9110 §8.8.1). From one head on, entries only leave, in a fixed order.
    const etag = `W/"${feed.position()}.${entries.count}"`;
    reply.headers({
      etag,
      vary: 'Accept-Encoding',
      'cache-control': 'public, max-age=1',
      'access-control-expose-headers': exposed,
      'revocations-as-of': feed.asOf().toFixed(3),
      // By the clock that the other is by, and rounded up, as their difference is an age.
      date: new Date(Math.ceil(exactNow()) * 1000).toUTCString(),
    });
    if (matches(request.headers['if-none-match'], etag)) return reply.code(304).send();
    const document = documentOf(entries);
    const coding = acceptedCoding(request.headers['accept-encoding']);
    const coded = coding && (await codedIn(coding, document, entries.count));
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
