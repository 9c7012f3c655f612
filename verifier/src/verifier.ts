/** Verifies access tokens (RFC 9068 §4) with what it knows: the issuer's keys, and what the issuer has revoked. */
import { compactVerify } from 'jose';
import { type AccessTokenClaims, readClaims } from './claims.ts';
import { createDenylist } from './denylist.ts';
import { TokenError } from './error.ts';
import { createFeed } from './feed.ts';
import { createHttp } from './http.ts';
import { algorithms as allAlgorithms, createKeys, type VerificationKey } from './keys.ts';
import { createMetadata, isSecure } from './metadata.ts';
import type { Algorithm, Milliseconds, RevocationStatus, Seconds, Verifier, VerifierOptions } from './options.ts';
import { headerOf, readHeader, type TokenHeader } from './token.ts';

/** By so much the issuer's clock and ours may differ. */
const tolerance: Seconds = 5;

/** Between two looks at what is due. */
const beat: Milliseconds = 250;

/** Headers that are remembered: one for each key that signs. */
const mostHeaders = 100;

/** Throws a `TypeError` for options that cannot be meant. */
export function createVerifier(options: VerifierOptions): Verifier {
  const { issuer, audiences, algorithms, maxStaleness } = checkOptions(options);
  const { whenStale = 'refuse', onStale, revocations = 'required' } = options;
  const clocks = { now: options.now ?? Date.now, monotonic: options.monotonic ?? (() => performance.now()) };
  const http = createHttp(options.fetch ?? ((...request) => fetch(...request)));
  const metadata = createMetadata(issuer, http, clocks);
  const keys = createKeys(metadata, algorithms, http, clocks);
  const denylist = createDenylist();
  const feed = createFeed({
    issuer,
    metadata,
    http,
    denylist,
    clocks,
    optional: revocations === 'optional',
    authorization: options.client && basic(options.client),
  });
  /** Headers of tokens that were signed by the issuer, by their text. */
  const headers = new Map<string, TokenHeader>();
  let timer: ReturnType<typeof setInterval> | undefined;
  let closed = false;
  let saidStale = false;

  /** With the first call, as some platforms let nobody ask anything before there is a request. */
  function start(): void {
    if (closed) throw new TokenError('verifier_closed');
    if (timer !== undefined) return;
    timer = setInterval(tick, beat);
    // A process that has nothing else to do may end.
    (timer as { unref?(): void }).unref?.();
    tick();
  }

  function tick(): void {
    keys.current();
    feed.tick();
    if (feed.failure() !== undefined || feed.status().position !== null) isStale();
  }

  /** The key that a token names, when it is not among those that are known. */
  async function findKey(kid: string): Promise<VerificationKey> {
    const known = await getKeys();
    if (!known.has(kid)) await keys.refetch().catch(() => undefined);
    const key = keys.current()?.get(kid);
    if (key === undefined) throw new TokenError('key_unknown');
    return key;
  }

  function remember(encoded: string, header: TokenHeader): void {
    if (headers.size >= mostHeaders) headers.clear();
    headers.set(encoded, header);
  }

  async function getKeys() {
    try {
      return await keys.get();
    } catch (cause) {
      throw new TokenError(closed ? 'verifier_closed' : 'keys_unavailable', { cause });
    }
  }

  function revocationStatus(): RevocationStatus {
    const staleness = feed.staleness();
    return {
      ...feed.status(),
      entries: denylist.size,
      staleness: Number.isFinite(staleness) ? Math.max(0, staleness) : null,
      stale: staleness > maxStaleness,
    };
  }

  /** Whether what is known is too old; tells so once. */
  function isStale(): boolean {
    const stale = feed.staleness() > maxStaleness;
    if (stale && !saidStale && onStale !== undefined) queueMicrotask(() => onStale(revocationStatus()));
    saidStale = stale;
    return stale;
  }

  /** Throws unless the claims are from that issuer, for us, and now. */
  function check({ iss, aud, iat, exp, nbf = 0 }: AccessTokenClaims): void {
    if (iss !== issuer) throw new TokenError('issuer_mismatch');
    if (!(typeof aud === 'string' ? audiences.includes(aud) : aud.some((name) => audiences.includes(name))))
      throw new TokenError('audience_mismatch');
    // A clock of ours that is late must not keep tokens alive whose revocations have been forgotten.
    const time = Math.max(clocks.now() / 1000, feed.issuerTime());
    if (time >= exp + tolerance) throw new TokenError('token_expired');
    if (Math.max(iat, nbf) > time + tolerance) throw new TokenError('token_not_yet_valid');
  }

  /** Whether what is known is too old even after the issuer has been asked; for who accepts that it is asked once. */
  async function staysStale(): Promise<boolean> {
    const caughtUp = feed.catchUp();
    if (whenStale === 'refuse' || feed.status().position === null) await caughtUp;
    return isStale();
  }

  return {
    issuer,
    audiences,

    async verify(token) {
      start();
      const encoded = headerOf(token);
      const known = headers.get(encoded);
      const { kid, alg } = known ?? readHeader(encoded);
      const { key, options } = keys.current()?.get(kid) ?? (await findKey(kid));
      if (alg !== options.algorithms[0]) throw new TokenError('algorithm_mismatch');
      let payload: Uint8Array;
      try {
        ({ payload } = await compactVerify(token, key, options));
      } catch (cause) {
        throw new TokenError('signature_invalid', { cause });
      }
      if (known === undefined) remember(encoded, { kid, alg });
      const claims = readClaims(payload);
      check(claims);
      const stale = feed.staleness() > maxStaleness && (await staysStale());
      if (denylist.isVoid(kid, claims)) throw new TokenError('token_revoked');
      if (stale && whenStale === 'refuse') throw new TokenError('revocations_stale', { cause: feed.failure() });
      return claims;
    },

    async ready() {
      start();
      await getKeys();
      if (feed.staleness() > maxStaleness && (await staysStale()))
        throw new TokenError('revocations_stale', { cause: feed.failure() });
    },

    status: () => ({ kids: [...(keys.current()?.keys() ?? [])], revocations: revocationStatus() }),

    async close() {
      closed = true;
      clearInterval(timer);
      http.close();
      await Promise.all([metadata.settled(), keys.settled(), feed.close()]);
    },
  };
}

/** Credentials as the issuer's endpoints take them: both parts form-urlencoded (RFC 6749 §2.3.1). */
function basic({ id, secret }: NonNullable<VerifierOptions['client']>): string {
  const [encodedId, encodedSecret] = [id, secret].map((part) => new URLSearchParams({ '': part }).toString().slice(1));
  return `Basic ${btoa(`${encodedId}:${encodedSecret}`)}`;
}

function checkOptions({ issuer, audience, algorithms, maxStaleness = 600 }: VerifierOptions) {
  const audiences = [audience].flat();
  const accepted = algorithms ?? (['ES256', 'RS256'] satisfies Algorithm[]);
  if (!isSecure(issuer)) throw new TypeError('issuer must be an https URL, or http on this machine');
  if (audiences.length === 0 || !audiences.every((name) => typeof name === 'string' && name !== ''))
    throw new TypeError('audience must be the identifier of the service');
  if (accepted.length === 0 || !accepted.every((name) => Object.hasOwn(allAlgorithms, name)))
    throw new TypeError(`algorithms must be among ${Object.keys(allAlgorithms).join(', ')}`);
  if (!(maxStaleness > 0)) throw new TypeError('maxStaleness must be a number of seconds');
  return { issuer, audiences, algorithms: accepted, maxStaleness };
}
