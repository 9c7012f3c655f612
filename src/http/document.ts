/** Public documents: bytes in memory with an entity tag, rendered anew only when what they show has changed. */
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';

interface Rendered {
  readonly body: Buffer;
  readonly etag: string;
}

export interface PublicDocument {
  /** Answers 200 with the document, or 304 where the reader has it (RFC 9110 §13.1.2). */
  send(request: FastifyRequest, reply: FastifyReply): FastifyReply;
}

export interface PublicDocumentOptions {
  readonly contentType: string;
  /** The value of `Cache-Control`. */
  readonly cacheControl: string;
  /** Changes whenever `render` may answer differently. Asked on each request. */
  version(): number;
  render(): object;
}

export function createPublicDocument(options: PublicDocumentOptions): PublicDocument {
  let rendered: Rendered | undefined;
  let renderedVersion: number | undefined;

  function current(): Rendered {
    const version = options.version();
    if (rendered === undefined || version !== renderedVersion) {
      const body = Buffer.from(JSON.stringify(options.render()));
      rendered = { body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` };
      renderedVersion = version;
    }
    return rendered;
  }

  return {
    send(request, reply) {
      const { body, etag } = current();
      reply.header('etag', etag).header('cache-control', options.cacheControl);
      if (matches(request.headers['if-none-match'], etag)) return reply.code(304).send();
      return reply.header('content-type', options.contentType).send(body);
    },
  };
}

/** Whether a reader has what an entity tag names, by the weak comparison (RFC 9110 §8.8.3.2). */
export function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  const opaque = (tag: string) => tag.trim().replace(/^W\//, '');
  return ifNoneMatch === '*' || ifNoneMatch.split(',').some((tag) => opaque(tag) === opaque(etag));
}
