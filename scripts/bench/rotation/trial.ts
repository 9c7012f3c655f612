/** Tokens flow, keys turn, and each token is verified by everybody, at once and later in its life; all is counted. */
import { setTimeout as delay } from 'node:timers/promises';
import { decodeProtectedHeader } from 'jose';
import { type Fleet, times } from './fleet.ts';
import { createVerifiers } from './verifiers.ts';

export const audiences: [string, string] = ['https://orders.example', 'https://reports.example'];

/** What came of it. */
export interface Counts {
  issued: number;
  /** Answers other than a token, and connections that broke, as those to an instance that was killed. */
  notIssued: number;
  verifications: number;
  /** Verifications that lasted until the token had expired. */
  overtaken: number;
  /** How often a verifier could not fetch the JWKS just then, and tried again. */
  withoutJwks: number;
  /** How often somebody refused a good token, by what was said, with the seconds when that was. */
  refused: Record<string, { count: number; from: number; until: number }>;
  /** The same within the window of an emergency with no standby left. */
  refusedInWindow: number;
  unknownKids: number;
  /** Verdicts on tokens of revoked keys: refused, and accepted within and after the time that caches live. */
  void: { refused: number; acceptedInTime: number; acceptedLate: Record<string, number> };
  /** How many keys signed, by algorithm; one less is the number of turns. */
  signers: Record<string, number>;
  /** The longest that two keys of one algorithm both signed, in milliseconds. */
  longestOverlap: number;
  /** The most keys of one algorithm that a JWKS showed. */
  mostPublished: number;
}

export interface Trial {
  /** How many keys of an algorithm have signed so far. */
  signers(alg: string): number;
  /** Waits until the standby of each of these algorithms has been published for so many seconds. */
  standbysKnown(algs: readonly string[], age: number): Promise<void>;
  /**
   * Revokes the key that signs, so many times in a row without waiting in between, once the standby has been published
   * for so many seconds. Answers the kids.
   */
  emergency(alg: string, inARow: number, standbyAge: number): Promise<string[]>;
  /** Stops asking for tokens, waits until the last has been verified, and gives the counts. */
  finish(): Promise<Counts>;
}

/** Milliseconds in which a verifier has surely fetched the JWKS anew, and every instance has learned of a change. */
const settled = (times.jwksMaxAge + 3) * 1000;

/** Milliseconds in which every verifier has fetched a JWKS with a key that no cache knew: `@keyturn/verifier` takes ten seconds. */
const surprise = 13_000;

interface Life {
  readonly kid: string;
  readonly alg: string;
  readonly phase: string;
  readonly published_from: number;
  readonly signs_from: number;
}

/**
 * Begins: so many tokens a second, of both algorithms by turns, each verified again at a moment of its life chosen at random,
 * after so many milliseconds at the latest.
 */
export async function beginTrial(fleet: Fleet, perSecond: number, latest = Number.POSITIVE_INFINITY): Promise<Trial> {
  const authorization = await register(fleet);
  const verifiers = createVerifiers(fleet.issuer, audiences);
  const counts: Counts = {
    issued: 0,
    notIssued: 0,
    verifications: 0,
    overtaken: 0,
    withoutJwks: 0,
    refused: {},
    refusedInWindow: 0,
    unknownKids: 0,
    void: { refused: 0, acceptedInTime: 0, acceptedLate: {} },
    signers: {},
    longestOverlap: 0,
    mostPublished: 0,
  };
  const began = performance.now();
  const spans = new Map<string, { alg: string; from: number; until: number }>();
  /** From when on a key was being revoked, and when that was done. */
  const revoked = new Map<string, { from: number; done: number }>();
  const windows: { from: number; until: number }[] = [];
  const pending = new Set<Promise<void>>();
  let finishing = false;

  async function issue(audience: string): Promise<void> {
    const asked = performance.now();
    const answer = await fetch(`${fleet.issuer}/token`, {
      method: 'POST',
      headers: { authorization },
      body: new URLSearchParams({ grant_type: 'client_credentials', resource: audience }),
    }).catch(() => undefined);
    const body = (await answer?.json().catch(() => undefined)) as { access_token?: string } | undefined;
    if (answer?.status !== 200 || body?.access_token === undefined) {
      counts.notIssued += 1;
      return;
    }
    counts.issued += 1;
    const token = body.access_token;
    const { kid = '', alg = '' } = decodeProtectedHeader(token);
    const span = spans.get(kid) ?? { alg, from: performance.now(), until: asked };
    spans.set(kid, { ...span, until: Math.max(span.until, asked) });
    const expires = asked + (times.accessTokenTtl - 1) * 1000;
    await judge(token, kid, expires);
    const left = times.accessTokenTtl * 1000 - (performance.now() - asked);
    await delay(Math.max(0, Math.random() * Math.min(left - 1_500, latest)));
    if (performance.now() < expires) await judge(token, kid, expires);
  }

  async function judge(token: string, kid: string, expires: number): Promise<void> {
    await Promise.all(
      verifiers.map(async ({ name, verify }) => {
        const started = performance.now();
        let verdict = await verify(token, kid);
        for (let attempt = 0; verdict === 'no JWKS' && attempt < 3; attempt += 1) {
          counts.withoutJwks += 1;
          await delay(300);
          verdict = await verify(token, kid);
        }
        // Who had to wait for a JWKS until it was over has not refused a good token.
        if (verdict !== 'good' && performance.now() > expires) {
          counts.overtaken += 1;
          return;
        }
        counts.verifications += 1;
        const act = revoked.get(kid);
        if (act !== undefined) judgeVoid(verdict, started - act.done, name);
        else if (verdict !== 'good') judgeRefusal(verdict, name, started);
      }),
    );
  }

  function judgeVoid(verdict: string, age: number, name: string): void {
    if (verdict !== 'good') counts.void.refused += 1;
    else if (age < settled) counts.void.acceptedInTime += 1;
    else counts.void.acceptedLate[name] = (counts.void.acceptedLate[name] ?? 0) + 1;
  }

  function judgeRefusal(verdict: string, name: string, at: number): void {
    if (windows.some(({ from, until }) => at >= from && at <= until)) {
      counts.refusedInWindow += 1;
      return;
    }
    if (verdict === 'unknown kid') counts.unknownKids += 1;
    const seconds = Math.round((at - began) / 1000);
    const said = counts.refused[`${name}: ${verdict}`] ?? { count: 0, from: seconds, until: seconds };
    counts.refused[`${name}: ${verdict}`] = { ...said, count: said.count + 1, until: seconds };
  }

  async function watchJwks(): Promise<void> {
    while (!finishing) {
      for (const port of fleet.ports()) {
        const answer = await fetch(`http://127.0.0.1:${port}/.well-known/jwks.json`).catch(() => undefined);
        const body = (await answer?.json().catch(() => undefined)) as { keys?: { alg: string }[] } | undefined;
        const algs = (body?.keys ?? []).map(({ alg }) => alg);
        for (const alg of new Set(algs)) {
          counts.mostPublished = Math.max(counts.mostPublished, algs.filter((other) => other === alg).length);
        }
      }
      await delay(200);
    }
  }

  async function flow(): Promise<void> {
    for (let n = 0; !finishing; n += 1) {
      const due = began + (n * 1000) / perSecond;
      if (due > performance.now()) await delay(due - performance.now());
      const one = issue(audiences[n % 2] as string).finally(() => pending.delete(one));
      pending.add(one);
    }
  }

  function sum(): void {
    for (const { alg } of spans.values()) counts.signers[alg] = (counts.signers[alg] ?? 0) + 1;
    for (const [kid, one] of spans) {
      for (const [other, two] of spans) {
        if (kid === other || one.alg !== two.alg || one.from > two.from) continue;
        counts.longestOverlap = Math.max(counts.longestOverlap, Math.min(one.until, two.until) - two.from);
      }
    }
  }

  /** The key that signs, as soon as its standby is so old and not about to start. */
  async function signerOf(alg: string, standbyAge: number): Promise<string> {
    for (;;) {
      const lives = ((await fleet.keyturn('keys', 'list')) ?? []) as Life[];
      const inPhase = (phase: string) => lives.find((life) => life.alg === alg && life.phase === phase);
      const [signer, standby] = [inPhase('signing'), inPhase('standby')];
      const now = Date.now() / 1000;
      const ready = standby && now - standby.published_from >= standbyAge && standby.signs_from - now > 2;
      if (signer !== undefined && (standbyAge === 0 || ready)) return signer.kid;
      await delay(300);
    }
  }

  const running = [flow(), watchJwks()];
  return {
    signers: (alg) => [...spans.values()].filter((span) => span.alg === alg).length,
    async standbysKnown(algs, age) {
      for (const alg of algs) await signerOf(alg, age);
    },
    async emergency(alg, inARow, standbyAge) {
      const kids: string[] = [];
      for (let n = 0; n < inARow; n += 1) {
        const signer = await signerOf(alg, n === 0 ? standbyAge : 0);
        const window = { from: performance.now(), until: Number.POSITIVE_INFINITY };
        // The standby of the first is known to everybody; of the second perhaps nobody knows the key that follows.
        if (n > 0) windows.push(window);
        const act = { from: window.from, done: Number.POSITIVE_INFINITY };
        revoked.set(signer, act);
        kids.push(signer);
        await fleet.keyturn('keys', 'revoke', signer, '--reason', 'a rehearsal');
        act.done = performance.now();
        window.until = act.done + surprise;
      }
      return kids;
    },
    async finish() {
      finishing = true;
      await Promise.all(running);
      await Promise.all(pending);
      for (const verifier of verifiers) await verifier.close();
      sum();
      return counts;
    },
  };
}

/** Two resource services, one for each algorithm, and a client of both. Answers its Authorization header. */
async function register(fleet: Fleet): Promise<string> {
  await fleet.keyturn('resource', 'add', audiences[0], '--scope', 'read', '--alg', 'ES256');
  await fleet.keyturn('resource', 'add', audiences[1], '--scope', 'read', '--alg', 'RS256');
  const both = audiences.flatMap((audience) => ['--audience', audience]);
  const added = await fleet.keyturn(
    'client',
    'add',
    'trial',
    '--grant',
    'client_credentials',
    '--scope',
    'read',
    ...both,
  );
  if (added === undefined) throw new Error('no client could be added');
  const { client_id, client_secret } = added as { client_id: string; client_secret: string };
  await delay(2_000); // every instance has learned of it
  return `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}`;
}
