/** What Postgres makes of a statement. */
import type { Database } from '../../src/store/database.ts';

/** How a plan reads a table. */
export interface Scan {
  readonly node: string;
  readonly table: string;
}

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly Plans?: PlanNode[];
}

/**
 * What Postgres does for a statement whose values it does not know: the plan that a prepared statement comes to, and the
 * worst there is. Answers every reading of a table in it.
 */
export async function planOf({ pool }: Database, text: string): Promise<Scan[]> {
  const client = await pool.connect();
  try {
    await client.query('SET plan_cache_mode = force_generic_plan');
    await client.query(`PREPARE planned AS ${text}`);
    const { rows } = await client.query<{ count: number }>(
      `SELECT cardinality(parameter_types) AS count FROM pg_prepared_statements WHERE name = 'planned'`,
    );
    const values = Array.from({ length: rows[0]?.count ?? 0 }, () => 'NULL').join();
    const explained = await client.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
      `EXPLAIN (FORMAT JSON) EXECUTE planned${values && `(${values})`}`,
    );
    const [plan] = explained.rows[0]?.['QUERY PLAN'] ?? [];
    return plan === undefined ? [] : scansIn(plan.Plan);
  } finally {
    client.release(true);
  }
}

function scansIn(node: PlanNode): Scan[] {
  const table = node['Relation Name'];
  const own = table === undefined ? [] : [{ node: node['Node Type'], table }];
  return [...own, ...(node.Plans ?? []).flatMap(scansIn)];
}
