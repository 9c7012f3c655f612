/** The gate of the refresh token: what one turn of the event loop brings goes through it by one statement. */
import type { RedeemedGrant } from '../protocol/grant.ts';
import type { Coming } from '../protocol/observation.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import type { Database } from './database.ts';
import { isDatabaseAway } from './database-errors.ts';
import { type RedeemedRow, type RefreshProof, redeemedColumns, standing, toRedeemed } from './grant.ts';
import { toDate } from './instant.ts';

/** A grant that has been refreshed. */
export interface RefreshedGrant extends RedeemedGrant {
  /** Its last changes of network, the latest first; the first refresh is one. */
  readonly comings: readonly Coming[];
}

/** So many of them are remembered. */
const comingsKept = 4;

interface Row extends RedeemedRow {
  /** Each a network, a space, and when: seconds since 1970. */
  networks: string[] | null;
}

export interface RefreshGate {
  /**
   * The grant's generation becomes the next, for one caller. A generation ahead of the row, which only we can have signed,
   * was lost by a failover: the row moves on. Undefined where the grant does not stand, has moved on, or was not used for
   * `idle` seconds by the database's clock; nothing is changed then.
   */
  redeem(proof: RefreshProof): Promise<RefreshedGrant | undefined>;
}

export interface RefreshGateOptions {
  readonly database: Database;
  readonly idle: Seconds;
  now(): NumericDate;
}

interface Item {
  readonly proof: RefreshProof;
  readonly resolve: (redeemed: RefreshedGrant | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** So many share a statement at the most: it holds their rows until it is over. */
const batchSize = 16;

export function createRefreshGate({ database, idle, now }: RefreshGateOptions): RefreshGate {
  /** Those of this turn, each grant once. */
  let line = new Map<string, Item>();

  function flush(): void {
    // Rows are taken in one order, so that two statements do not wait for each other.
    const items = [...line.values()].sort((one, other) => (one.proof.grantId < other.proof.grantId ? -1 : 1));
    line = new Map();
    while (items.length > 0) void redeemTogether(items.splice(0, batchSize));
  }

  /** An error may be one item's: each asks alone then, once. Where it is the database's that would take as long again. */
  async function redeemTogether(items: readonly Item[]): Promise<void> {
    try {
      const redeemed = await redeemAll(items.map(({ proof }) => proof));
      for (const { proof, resolve } of items) resolve(redeemed.get(proof.grantId));
    } catch (error) {
      if (items.length === 1 || isDatabaseAway(error)) for (const { reject } of items) reject(error);
      else for (const item of items) void redeemTogether([item]);
    }
  }

  /** One conditional UPDATE, which touches no indexed column. Whose grant does not redeem is not in the answer. */
  async function redeemAll(proofs: readonly RefreshProof[]): Promise<Map<string, RefreshedGrant>> {
    const rows = await database.query<Row>(
      `UPDATE "grant" g SET generation = i.generation + i.step, rotated_at = now(),
              networks = CASE WHEN i.network IS NULL OR i.network = split_part(g.networks[1], ' ', 1) THEN g.networks
                              ELSE (ARRAY[i.network || ' ' || extract(epoch FROM $1::timestamptz)::bigint] || g.networks)[:$8] END
         FROM unnest($2::text[], $3::text[], $4::int[], $5::int[], $7::text[])
                AS i (grant_id, client_id, generation, step, network),
              "user" u, client c
        WHERE g.id = i.grant_id AND g.client_id = i.client_id AND ${standing}
          AND g.generation BETWEEN 1 AND i.generation AND g.rotated_at > now() - make_interval(secs => $6)
       RETURNING ${redeemedColumns}, g.networks`,
      [
        toDate(now()),
        proofs.map(({ grantId }) => grantId),
        proofs.map(({ clientId }) => clientId),
        proofs.map(({ generation }) => generation),
        proofs.map(({ rotates }) => (rotates ? 1 : 0)),
        idle,
        proofs.map(({ network }) => network ?? null),
        comingsKept,
      ],
    );
    return new Map(rows.map((row) => [row.id, { ...toRedeemed(row), comings: (row.networks ?? []).map(toComing) }]));
  }

  return {
    redeem(proof) {
      return new Promise((resolve, reject) => {
        const item = { proof, resolve, reject };
        if (line.has(proof.grantId)) {
          void redeemTogether([item]);
          return;
        }
        if (line.size === 0) setImmediate(flush);
        line.set(proof.grantId, item);
      });
    },
  };
}

function toComing(text: string): Coming {
  const [network = '', at] = text.split(' ');
  return { network, at: Number(at) };
}
