import type { FastifyReply, FastifyRequest } from 'fastify';

/** The members of the issuer's metadata (RFC 8414 §2, OpenID Connect Discovery §3). */
export type Metadata = Record<string, string | boolean | readonly string[]>;

/** One endpoint of the issuer. Routing, the metadata and the answers to wrong methods follow from it. */
export interface Endpoint {
  /** Below the issuer's own path. */
  readonly path: string;
  /** `GET` answers `HEAD` too. */
  readonly method: 'GET' | 'POST' | 'DELETE';
  /**
   * Who waits for the answer. People are limited per address; they are sent away first when the process cannot keep up,
   * machines later, and documents, which cost next to nothing, never.
   */
  readonly serves?: 'people' | 'machines';
  /** What the body is; a form where nothing else is said. */
  readonly accepts?: 'form' | 'json';
  /**
   * Whose pages may read the answer (CORS): those of any origin, for public documents; those of origins that a client has
   * registered, where a token goes in or out; those of first-party clients, whose cookies come along.
   */
  readonly readableBy?: 'anyone' | 'registered origins' | 'first-party origins';
  /** Where this is found beside `path`: paths from the root of the host, whatever the issuer's path. */
  readonly fromRoot?: readonly string[];
  /** What the metadata says because this endpoint is there; `url` is where it is. */
  metadata?(url: string): Metadata;
  handle(request: FastifyRequest, reply: FastifyReply): unknown;
  /** How errors are answered, be they the handler's or of a request that never got to it; as JSON where nothing is said. */
  sendError?(error: unknown, request: FastifyRequest, reply: FastifyReply): void;
  /** Ends answers that have no end of their own; called when the server begins to close, for it waits for answers. */
  close?(): void;
}

/** The path below which all endpoints lie: empty for an issuer at the root of its host. */
export function basePathOf(issuer: string): string {
  return new URL(issuer).pathname.replace(/\/$/, '');
}
