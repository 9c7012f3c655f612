/** Who is let in at the moment: what the process can do, whether it keeps up, and how often one address has come. */
import rateLimit from '@fastify/rate-limit';
import underPressure from '@fastify/under-pressure';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ProtocolError } from '../protocol/error.ts';
import type { AddressOf } from './address.ts';
import type { Endpoint } from './endpoint.ts';
import type { Readiness } from './endpoints/health.ts';

export interface AdmissionOptions {
  /** What counts as one address. */
  readonly addressOf: AddressOf;
  /** What the process can do at the moment; health is always served. */
  readiness(): Readiness;
  /** Where what is in memory may be too old to answer from: a promise to wait for before `readiness` is asked. */
  caughtUp(): Promise<void> | undefined;
}

/** Why a request of an endpoint is not let in; undefined where it is. A promise only where that has to be waited for. */
export type Admit = (
  endpoint: Endpoint,
) => (request: FastifyRequest) => ProtocolError | undefined | Promise<ProtocolError | undefined>;

/** Requests for people that one address may send in so many milliseconds: a whole office behind it signs in at nine. */
const perAddress = { max: 1_200, timeWindow: 60_000 };

/** Milliseconds over which the delay of the event loop is averaged. */
const sampleInterval = 1_000;

/** Milliseconds by which the event loop may be late before requests are sent away. */
const mostDelay = { people: 250, machines: 1_000 };

export async function createAdmission(server: FastifyInstance, options: AdmissionOptions): Promise<Admit> {
  const { addressOf, readiness, caughtUp } = options;
  await server.register(underPressure, { sampleInterval });
  await server.register(rateLimit, { global: false });
  const count = server.createRateLimit({ ...perAddress, keyGenerator: (request) => addressOf(request) ?? '' });

  /** Of an address that is not known there is nothing to count. */
  async function tooOften(request: FastifyRequest): Promise<ProtocolError | undefined> {
    if (addressOf(request) === undefined) return undefined;
    const counted = await count(request);
    if (counted.isAllowed || !counted.isExceeded) return undefined;
    const retryAfter = Math.max(1, counted.ttlInSeconds);
    return new ProtocolError('temporarily_unavailable', 'too many requests', { retryAfter, tooMany: true });
  }

  return (endpoint) => {
    const { serves, method, path } = endpoint;
    if (path.startsWith('/health/')) return () => undefined;
    const isDocument = serves === undefined && method === 'GET';
    let begun = false;
    /** Documents are good from the first reading on, whatever comes: that is asked once. */
    const refusal = () => {
      if (begun && isDocument) return undefined;
      const why = whyNotReady(readiness(), endpoint);
      begun ||= why === undefined;
      return why;
    };
    return (request) => {
      if (serves !== undefined && server.memoryUsage().eventLoopDelay > mostDelay[serves]) return busy();
      const catchingUp = caughtUp();
      if (catchingUp === undefined && serves !== 'people') return refusal();
      const mayCome = serves === 'people' ? tooOften(request) : Promise.resolve(undefined);
      return mayCome.then(async (tooMany) => {
        await catchingUp;
        return tooMany ?? refusal();
      });
    };
  };
}

function busy(): ProtocolError {
  return new ProtocolError('temporarily_unavailable', 'too much is asked of this server just now', { retryAfter: 2 });
}

/** Until the first reading there is nothing to answer with; after it, public documents are always good. */
function whyNotReady({ status }: Readiness, { method }: Endpoint): ProtocolError | undefined {
  const ready = status === 'ok' || status === 'degraded' || (status === 'unready' && method === 'GET');
  return ready ? undefined : new ProtocolError('temporarily_unavailable', 'not ready to answer', { retryAfter: 1 });
}
