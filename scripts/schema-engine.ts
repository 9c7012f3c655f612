/**
 * Prisma's schema engine as WebAssembly, for development only: compares Prisma schemas. It wants a
 * connection to start, but what a database holds it cannot read (docs/decisions/0001-migrations.md).
 */
import { readFile } from 'node:fs/promises';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import * as engineModule from '@prisma/schema-engine-wasm/schema_engine_bg';
import pg from 'pg';

/** All that is used of what Node has and its types (without those of the browser) lack. */
declare const WebAssembly: {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: Record<string, () => void> } }>;
};

/**
 * The SQL that turns a database of one Prisma schema into one of another; empty where there is nothing to do.
 * `from` undefined: an empty database. `databaseUrl`: any Postgres; nothing is written there.
 */
export async function diffSchemas(databaseUrl: string, from: string | undefined, to: string): Promise<string> {
  loaded ??= load();
  await loaded;
  const schema = (content: string) => [{ path: 'schema.prisma', content }];
  const pool = new pg.Pool({ connectionString: databaseUrl });
  try {
    const engine = await engineModule.SchemaEngine.new(
      { datamodels: [['schema.prisma', to]] },
      () => undefined,
      bindMigrationAwareSqlAdapterFactory(new PrismaPg(pool)),
    );
    const { stdout } = await engine.diff({
      from: from === undefined ? { tag: 'empty' } : { tag: 'schemaDatamodel', files: schema(from) },
      to: { tag: 'schemaDatamodel', files: schema(to) },
      script: true,
      exitCode: null,
      filters: { externalTables: [], externalEnums: [] },
    });
    engine.free();
    const sql = stdout ?? '';
    return sql.startsWith('-- This is an empty migration.') ? '' : sql;
  } finally {
    await pool.end();
  }
}

let loaded: Promise<void> | undefined;

/** Once only: what the module keeps of one instance breaks the next. */
async function load(): Promise<void> {
  const wasm = new URL('./schema_engine_bg.wasm', import.meta.resolve('@prisma/schema-engine-wasm/schema_engine_bg'));
  const { instance } = await WebAssembly.instantiate(await readFile(wasm), {
    './schema_engine_bg.js': { ...engineModule },
  });
  engineModule.__wbg_set_wasm(instance.exports);
  instance.exports.__wbindgen_start?.();
}
