/** Requests of endpoints under the eyes of those who count and trace them. What nobody watches costs nothing. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Seconds } from '../protocol/time.ts';
import type { Endpoint } from './endpoint.ts';
import { outcomeOf } from './errors.ts';

export interface Watchers {
  /** Told of each answer. */
  readonly onAnswer?: OnAnswer | undefined;
  /** Begins a span for each request. */
  readonly traceRequest?: TraceRequest | undefined;
}

/**
 * `outcome` is the code of the answer's error, `refused` where it has none, else `ok`. Without `duration` where the end of the
 * answer is up to its reader.
 */
export type OnAnswer = (
  path: string,
  method: string,
  status: number,
  outcome: string,
  duration: Seconds | undefined,
) => void;

export type TraceRequest = (request: {
  readonly method: string;
  readonly route: string;
  readonly id: string;
  readonly headers: FastifyRequest['headers'];
}) => RequestSpan;

export interface RequestSpan {
  /** Runs what answers the request. */
  run<T>(work: () => T): T;
  end(status: number, outcome: string): void;
}

/** What a route does for its watchers: the first of its hooks, its handler, and the last of its hooks. */
export interface Watched {
  readonly begin?: (request: FastifyRequest, reply: FastifyReply, done: () => void) => void;
  readonly handle: (request: FastifyRequest, reply: FastifyReply) => unknown;
  readonly end?: (request: FastifyRequest, reply: FastifyReply, done: () => void) => void;
}

export function watch(endpoint: Endpoint, { onAnswer, traceRequest }: Watchers): Watched {
  const { path, method } = endpoint;
  const handle = endpoint.handle.bind(endpoint);
  const hasEnd = endpoint.close === undefined;
  // Health is asked every few seconds, and a stream has no end.
  const begins = hasEnd && !path.startsWith('/health/') ? traceRequest : undefined;
  const count = (reply: FastifyReply) =>
    onAnswer?.(path, method, reply.statusCode, outcomeOf(reply), hasEnd ? reply.elapsedTime / 1000 : undefined);

  if (begins === undefined) {
    if (onAnswer === undefined) return { handle };
    return {
      handle,
      end(_request, reply, done) {
        count(reply);
        done();
      },
    };
  }

  const spans = new WeakMap<FastifyRequest, RequestSpan>();
  return {
    begin(request, _reply, done) {
      spans.set(request, begins({ method, route: path, id: request.id, headers: request.headers }));
      done();
    },
    handle(request, reply) {
      const span = spans.get(request);
      return span === undefined ? handle(request, reply) : span.run(() => handle(request, reply));
    },
    end(request, reply, done) {
      count(reply);
      spans.get(request)?.end(reply.statusCode, outcomeOf(reply));
      done();
    },
  };
}
