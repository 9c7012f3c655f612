/** What it takes to understand a lane's failure from its output alone. */
import { decodeJwt, decodeProtectedHeader } from 'jose';
import type { Database } from '../../src/store/database.ts';

/** What a lane did last. */
export interface Diary {
  note(what: string): void;
  /** The last lines, oldest first. */
  lines(): string[];
}

/** So many lines are kept: a few grants' lives, over several runs. */
const kept = 80;

export function createDiary(where: () => string): Diary {
  let lines: string[] = [];
  return {
    note(what) {
      lines = [...lines.slice(1 - kept), `${where()}: ${what}`];
    },
    lines: () => lines,
  };
}

/** How Postgres sees a grant, and whatever else can make its newest refresh token worthless. */
export async function evidenceOf(database: Database, grantId: string, newest: string | undefined): Promise<object> {
  const [grant] = await database.query(
    `SELECT g.id, g.generation, g.rotated_at, g.revoked_at, g.created_at, g.expires_at, g.session_id,
            g.user_epoch, u.grant_epoch AS user_needs, u.disabled_at AS user_disabled_at,
            g.client_epoch, c.grant_epoch AS client_needs, c.disabled_at AS client_disabled_at, now()
       FROM "grant" g LEFT JOIN "user" u ON u.id = g.user_id LEFT JOIN client c ON c.id = g.client_id WHERE g.id = $1`,
    [grantId],
  );
  const audited = await database.query(
    `SELECT e.at, e.actor, e.act, e.reason, e.at - g.rotated_at AS since_rotation
       FROM audit_event e JOIN "grant" g ON e.target = 'grant ' || g.id WHERE g.id = $1 ORDER BY e.id`,
    [grantId],
  );
  const latest = await database.query(
    'SELECT at, actor, act, target, reason FROM audit_event ORDER BY id DESC LIMIT 8',
  );
  const keys = await database.query(
    `SELECT kid, alg, created_at, signs_from, revoked_at, sealed_private_jwk IS NULL AS erased
       FROM signing_key WHERE alg = 'ES256' ORDER BY signs_from`,
  );
  const token = newest === undefined ? undefined : { ...decodeProtectedHeader(newest), ...decodeJwt(newest) };
  return asText({ grant, token, audited, latest, keys });
}

/** Nothing but text and numbers: dates and intervals as JSON has them. */
function asText(value: object): object {
  return JSON.parse(JSON.stringify(value));
}
