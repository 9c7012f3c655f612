/**
 * Single tokens and single grants that are to be void, many in one transaction: each costs a row then, where a transaction
 * of its own would hold the change log's lock, for which all others wait. What is answered is committed.
 */
import { revocationDigest } from '@keyturn/verifier/denylist';
import { clockSkew, pollInterval } from '../keys/lifecycle.ts';
import { ProtocolError } from '../protocol/error.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { Actor } from '../store/audit-event.ts';
import { endFreeGrants, endGrants } from '../store/grant.ts';
import { readTokenRevocations } from '../store/revocation.ts';
import type { Acts, ActUnderWay, Void } from './act.ts';
import { createLine } from './line.ts';

/** An access token that is to be void. */
export interface TokenToRevoke {
  readonly jti: string;
  /** Undefined where all that is known of it is its name. */
  readonly exp: NumericDate | undefined;
  /** The client that asks for it, of which the cap counts; undefined where an administrator does. */
  readonly clientId: string | undefined;
}

export interface SingleRevocations {
  revokeToken(token: TokenToRevoke, reason: string, by?: Actor): Promise<boolean>;
  endGrant(grantId: string, reason: string, by?: Actor): Promise<boolean>;
}

interface Asked {
  readonly reason: string;
  readonly by: Actor | undefined;
}

/** How many single tokens of one client may be void at a time, so that nobody fills the feed that all verifiers hold. */
const mostTokenRevocations = 1_000;

/** So many share a transaction at the most: a few milliseconds, in which nobody else changes anything. */
const batchSize = 100;

/** How long after its `exp` a token may count as alive somewhere: until late readings and by slow clocks. */
const tail: Seconds = pollInterval + 2 * clockSkew;

export function createSingleRevocations(acts: Acts, now: () => NumericDate): SingleRevocations {
  const tokenLine = createLine(batchSize, (items: readonly (Asked & { token: TokenToRevoke })[]) =>
    acts.perform((act) => revokeTokens(act, items)),
  );
  const grantLine = createLine(batchSize, (items: readonly (Asked & { grantId: string })[]) =>
    acts.perform(async (act) => {
      const ids = items.map(({ grantId }) => grantId);
      const ended = new Set(await endFreeGrants(act.tx, ids, now()));
      const mine = items.map(({ grantId }) => ended.delete(grantId)); // the first that asked for it
      await acts.noteEnded(
        act,
        items.filter((_, at) => mine[at]),
      );
      return mine;
    }),
  );

  /** As if one came after the other: what is there already is no news, and of each client so many are kept. */
  async function revokeTokens(
    act: ActUnderWay,
    items: readonly (Asked & { token: TokenToRevoke })[],
  ): Promise<(boolean | Error)[]> {
    const digests = items.map(({ token }) => revocationDigest('jti', token.jti));
    const clientIds = items.flatMap(({ token }) => token.clientId ?? []);
    const { there, clients } = await readTokenRevocations(act.tx, digests, [...new Set(clientIds)], now());
    const voids: Void[] = [];
    const outcomes = items.map(({ token, reason, by }, at) => {
      const digest = digests[at] as string;
      if (there.has(digest)) return false;
      const { jti, exp, clientId } = token;
      const held = clients.get(clientId);
      if (held !== undefined && held.live >= mostTokenRevocations) return tooMany(held.nextOver);
      if (held !== undefined) held.live += 1;
      there.add(digest);
      const expiresAt = exp === undefined ? undefined : exp + tail;
      voids.push({ kind: 'jti', name: jti, reason, expiresAt, clientId });
      act.audited({ act: 'token revoked', target: `token ${jti}`, reason }, by);
      return true;
    });
    await acts.revoke(act, voids);
    return outcomes;
  }

  function tooMany(nextOver: NumericDate): ProtocolError {
    const retryAfter = Math.max(1, Math.ceil(nextOver - now()));
    return new ProtocolError('temporarily_unavailable', 'too many single tokens are revoked at the moment', {
      tooMany: true,
      retryAfter,
    });
  }

  return {
    revokeToken: (token, reason, by) => tokenLine({ token, reason, by }),

    async endGrant(grantId, reason, by) {
      if (await grantLine({ grantId, reason, by })) return true;
      // It had ended, or somebody has its row: for that it waits by itself, and holds nobody up.
      return acts.perform(async (act) => {
        const ended = await endGrants(act.tx, { id: grantId }, now());
        await acts.noteEnded(
          act,
          ended.map((id) => ({ grantId: id, reason, by })),
        );
        return ended.length > 0;
      });
    },
  };
}
