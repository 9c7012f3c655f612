import type { Endpoint } from '../endpoint.ts';

/** `starting` and `unready` answer 503; `degraded` works from memory while the database is away. */
export interface Readiness {
  readonly status: 'ok' | 'degraded' | 'starting' | 'unready';
  /** What is wrong, in a few words that say nothing secret. */
  readonly reason?: string;
}

/**
 * Whether the process lives (never asks the database), and whether it should get traffic. Who asks knows the address
 * of the process and not the issuer, so they are at the root too.
 */
export function healthEndpoints(readiness: () => Readiness): Endpoint[] {
  return [
    {
      path: '/health/live',
      fromRoot: ['/health/live'],
      method: 'GET',
      handle: (_request, reply) => reply.header('cache-control', 'no-store').send({ status: 'ok' }),
    },
    {
      path: '/health/ready',
      fromRoot: ['/health/ready'],
      method: 'GET',
      handle(_request, reply) {
        const state = readiness();
        const up = state.status === 'ok' || state.status === 'degraded';
        return reply
          .code(up ? 200 : 503)
          .header('cache-control', 'no-store')
          .send(state);
      },
    },
  ];
}
