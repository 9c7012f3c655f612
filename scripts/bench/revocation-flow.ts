/** Tokens that flow, and some of them revoked: how long until every verifier refuses those. */
import { setTimeout as delay } from 'node:timers/promises';
import { type BenchClient, clientHeaders, tokenRequest } from './registration.ts';
import { clock } from './revocation-clock.ts';
import { quantile } from './rounds.ts';
import type { Verifiers } from './verifiers.ts';

export interface Flow {
  /** Tokens that are asked for in a second, and every how many-th of them is revoked. */
  readonly tokensPerSecond: number;
  readonly revokeEvery: number;
  readonly revocations: number;
}

/** Milliseconds. */
export interface Delays {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface FlowDelays {
  /** From the answer of POST /revoke to the refusal: of each verifier, and of the last of them. */
  readonly each: Delays;
  readonly last: Delays;
  /** The p99 of the verifier whose p99 is the highest. */
  readonly worstVerifierP99: number;
  /** From the first byte of POST /revoke to its answer. */
  readonly request: Delays;
  /** Seconds that it took. */
  readonly seconds: number;
}

/** Revocations under way at most, from the token to its last refusal: a machine too slow for the pace is not buried. */
const together = 20;

/** After so many milliseconds a token that is still accepted is a failure. */
const patience = 15_000;

/**
 * Lets tokens flow in an even pace, from each instance in turn and for each client in turn, each revoked at another instance
 * than gave it. Every token is verified; all verifiers accept one before it is revoked. Rejects if one is refused before, or not
 * refused after.
 */
export async function flow(
  verifiers: Verifiers,
  ports: readonly number[],
  clients: readonly BenchClient[],
  { tokensPerSecond, revokeEvery, revocations }: Flow,
): Promise<FlowDelays> {
  const begun = performance.now();
  const refusals: number[][] = [];
  const requests: number[] = [];
  const places = createPlaces(together);

  async function one(index: number): Promise<void> {
    const [from, other] = [ports[index % ports.length] as number, ports[(index + 1) % ports.length] as number];
    const watch = Math.floor(index / revokeEvery);
    const client = clients[watch % clients.length] as BenchClient;
    if (index % revokeEvery !== 0) return verifiers.show(await obtainToken(from, client));
    const leave = await places.enter();
    const token = await obtainToken(from, client);
    await verifiers.watch(token, watch);
    const sent = clock();
    await revoke(other, client, token);
    const answered = clock();
    const late = delay(patience, undefined, { ref: false }).then(() => {
      throw new Error(`a token that was revoked is accepted ${patience / 1000} seconds later`);
    });
    const at = await Promise.race([verifiers.refused(watch), late]);
    leave();
    requests.push(answered - sent);
    refusals.push(at.map((time) => Math.max(0, time - answered)));
  }

  async function all(): Promise<void> {
    const started: Promise<void>[] = [];
    let failed = false;
    for (let index = 0; index < revocations * revokeEvery && !failed; index += 1) {
      const early = begun + (index / tokensPerSecond) * 1000 - performance.now();
      if (early > 0) await delay(early);
      const going = one(index);
      going.catch(() => {
        failed = true;
      });
      started.push(going);
    }
    await Promise.all(started);
  }

  await Promise.race([all(), verifiers.failed]);
  const byVerifier = (refusals[0] ?? []).map((_, verifier) => refusals.map((times) => times[verifier] as number));
  return {
    each: delaysOf(refusals.flat()),
    last: delaysOf(refusals.map((times) => Math.max(...times))),
    worstVerifierP99: Math.max(...byVerifier.map((times) => delaysOf(times).p99)),
    request: delaysOf(requests),
    seconds: (performance.now() - begun) / 1000,
  };
}

/** So many may be in at once; others wait for their turn. */
function createPlaces(most: number): { enter(): Promise<() => void> } {
  const waiting: (() => void)[] = [];
  let free = most;
  function leave(): void {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next();
  }
  return {
    async enter() {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      return leave;
    },
  };
}

function delaysOf(times: readonly number[]): Delays {
  const ascending = Float64Array.from(times).sort();
  return { p50: quantile(ascending, 0.5), p99: quantile(ascending, 0.99), max: ascending.at(-1) ?? Number.NaN };
}

async function obtainToken(port: number, client: BenchClient): Promise<string> {
  const answer = await post(port, '/token', tokenRequest(client, 'ES256'));
  return (JSON.parse(answer) as { access_token: string }).access_token;
}

async function revoke(port: number, client: BenchClient, token: string): Promise<void> {
  await post(port, '/revoke', { headers: clientHeaders(client), body: new URLSearchParams({ token }).toString() });
}

async function post(port: number, path: string, request: { headers: Record<string, string>; body: string }) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', ...request });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${path}: ${response.status} ${text}`);
  return text;
}
