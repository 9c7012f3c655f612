/**
 * Many verifiers in one process, each with a connection of its own to one of the instances, as a program: it is sent tokens,
 * and says when all of its verifiers refuse those that it is to watch. Ends with an error if a good one is refused.
 */
import { createVerifier, TokenError, type Verifier } from '@keyturn/verifier';
import { clock } from './revocation-clock.ts';

export interface VerifierProcessOptions {
  readonly issuer: string;
  readonly audience: string;
  /** The instances' ports: one for each verifier. */
  readonly ports: readonly number[];
  /** Whether the way to the streams is closed, so that they can only ask. */
  readonly streamCut: boolean;
}

/** What it is told: to verify a token, or, with a number, that it is going to be revoked. */
export interface Told {
  readonly token: string;
  readonly watch?: number;
}

/** What it says: all verifiers are there; all have accepted a token that it watches; all have refused it, and when. */
export type Said =
  | { readonly kind: 'ready' }
  | { readonly kind: 'accepted'; readonly watch: number }
  | { readonly kind: 'refused'; readonly watch: number; readonly at: readonly number[] };

interface Watched {
  readonly token: string;
  readonly watch: number;
  /** By verifier, when it refused first. */
  readonly at: (number | undefined)[];
}

const { issuer, audience, ports, streamCut } = JSON.parse(process.argv[2] ?? '') as VerifierProcessOptions;

/** Goes to one instance instead of to the issuer's address, and nowhere where the stream is cut. */
function throughPort(port: number): typeof fetch {
  return (input, init) => {
    const url = new URL(String(input));
    if (streamCut && url.pathname === '/revocations/stream') return Promise.reject(new Error('the stream is cut'));
    url.host = `127.0.0.1:${port}`;
    return fetch(url, init);
  };
}

const verifiers = ports.map((port) => createVerifier({ issuer, audience, fetch: throughPort(port) }));
/** The position of each in the feed, as it was looked at last. */
const positions = verifiers.map((): string | null => null);
const watched = new Set<Watched>();
let turn = 0;

function say(said: Said): void {
  process.send?.(said);
}

async function watchFor(token: string, watch: number): Promise<void> {
  await Promise.all(verifiers.map((verifier) => verifier.verify(token)));
  watched.add({ token, watch, at: verifiers.map(() => undefined) });
  say({ kind: 'accepted', watch });
}

/** Shows a verifier all tokens that it has not refused yet. */
function tryAll(verifier: Verifier, index: number): void {
  for (const each of watched) {
    if (each.at[index] !== undefined) continue;
    verifier.verify(each.token).then(
      () => undefined,
      (error: unknown) => {
        if (!(error instanceof TokenError && error.code === 'token_revoked')) throw error;
        refused(each, index);
      },
    );
  }
}

function refused(each: Watched, index: number): void {
  each.at[index] ??= clock();
  if (each.at.includes(undefined) || !watched.delete(each)) return;
  say({ kind: 'refused', watch: each.watch, at: each.at as number[] });
}

process.on('message', ({ token, watch }: Told) => {
  if (watch !== undefined) return void watchFor(token, watch);
  turn = (turn + 1) % verifiers.length;
  void verifiers[turn]?.verify(token);
});
process.on('disconnect', () => process.exit());

/** Where a verifier's news are to come from. */
const source = streamCut ? 'polling' : 'stream';

/** Milliseconds within which all of them have to have them from there. */
const patience = 15_000;

async function start(): Promise<void> {
  await Promise.all(verifiers.map((verifier) => verifier.ready()));
  const deadline = clock() + patience;
  const waiting = setInterval(() => {
    if (clock() > deadline) throw new Error(`verifiers have their news from elsewhere than by ${source}`);
    if (!verifiers.every((verifier) => verifier.status().revocations.source === source)) return;
    clearInterval(waiting);
    say({ kind: 'ready' });
  }, 10);
}

// A verifier that has heard nothing new refuses nothing new: it is asked again as soon as its position has moved.
setInterval(() => {
  if (watched.size === 0) return;
  for (const [index, verifier] of verifiers.entries()) {
    const { position } = verifier.status().revocations;
    if (position === positions[index]) continue;
    positions[index] = position;
    tryAll(verifier, index);
  }
}, 1);

await start();
