/** Tables as they are after years: rows by the hundred thousand, and what Postgres makes of a statement then. */
import type { Database } from '../../src/store/database.ts';

export interface Volume {
  readonly grants: number;
  readonly clients: number;
}

/** Fills what grows. A tenth as many users, sessions and revocations as grants; a third of the grants is over in an hour. */
export async function fillTables({ pool }: Database, { grants, clients }: Volume): Promise<void> {
  const users = Math.ceil(grants / 10);
  const one = (table: string, kind: string, of: number) => `(SELECT '${kind}' || (n % ${of})) AS ${table}`;
  const statements = [
    `INSERT INTO client (id, name, auth_method, grant_types)
     SELECT 'client_' || n, 'app', 'none', '{authorization_code,refresh_token}' FROM generate_series(0, ${clients - 1}) AS n`,
    `INSERT INTO "user" (id, email, password_hash)
     SELECT 'user_' || n, n || '@example.org', '$argon2id$' FROM generate_series(0, ${users - 1}) AS n`,
    `INSERT INTO session (id, secret_digest, user_id, user_epoch, auth_time, created_at, last_seen_at, expires_at)
     SELECT 'session_' || n, 'digest', 'user_' || n, 0, now(), now(), now(), now() + n * interval '1 s'
       FROM generate_series(0, ${users - 1}) AS n`,
    `INSERT INTO "grant" (id, user_id, client_id, session_id, scope, auth_time, user_epoch, client_epoch, generation, rotated_at,
                          created_at, expires_at)
     SELECT 'grant_' || n, ${one('user_id', 'user_', users)}, ${one('client_id', 'client_', clients)},
            CASE WHEN n % 2 = 0 THEN 'session_' || n % ${users} END, '{openid}', now(), 0, 0, 1, now(), now(),
            now() + (n % 3) * interval '1 hour' FROM generate_series(1, ${grants}) AS n`,
    `INSERT INTO consent (user_id, client_id, scope, granted_at)
     SELECT 'user_' || n, 'client_' || n % ${clients}, '{openid}', now() FROM generate_series(0, ${users - 1}) AS n`,
    `INSERT INTO revocation (digest, expires_at, reason, client_id)
     SELECT left(md5(n::text), 22), now() + n * interval '1 ms', 'volume', 'client_' || n % 100
       FROM generate_series(1, ${users}) AS n`,
    `INSERT INTO interaction (id, browser_digest, request, started_at, expires_at)
     SELECT 'interaction_' || n, 'digest', 'request', now(), now() + n * interval '1 ms' FROM generate_series(1, ${users}) AS n`,
    `INSERT INTO logout_delivery (id, logout_id, client_id, user_id, delivered_at, created_at)
     SELECT 'logout_' || n, 'logout_' || n / 3, 'client_0', 'user_0', now(), now() FROM generate_series(1, ${users}) AS n`,
    `INSERT INTO sign_in_attempt (key, failures, failed_at)
     SELECT 'key_' || n, 1, now() - n * interval '1 ms' FROM generate_series(1, ${users}) AS n`,
    `INSERT INTO change (kind, name, at)
     SELECT 'revocation', 'volume', now() - n * interval '1 ms' FROM generate_series(1, ${users}) AS n`,
    `INSERT INTO audit_event (actor, act, target, at)
     SELECT 'user user_' || n, 'sign-in', 'volume', now() - n * interval '1 s' FROM generate_series(1, ${grants}) AS n`,
    'VACUUM ANALYZE',
  ];
  const client = await pool.connect();
  try {
    await client.query('SET statement_timeout = 0');
    for (const text of statements) await client.query({ text, query_timeout: 2 ** 31 - 1 } as { text: string });
  } finally {
    client.release(true);
  }
}
