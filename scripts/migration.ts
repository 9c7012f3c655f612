/**
 * `npm run migration -- <name>`: writes the next migration, from what prisma/schema.prisma says now and what it said
 * when the last migration was written (kept beside the migrations). The SQL may be edited by hand before it is
 * committed; the test that migrations and schema agree says whether it still does what the schema says.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { diffSchemas } from './schema-engine.ts';

const folder = 'prisma/migrations';
const migratedSchema = join(folder, 'migrated.prisma');

async function main(): Promise<string> {
  const [name, ...rest] = process.argv.slice(2);
  if (name === undefined || rest.length > 0 || !/^[a-z][a-z0-9_]{0,60}$/.test(name)) {
    throw new Error('usage: npm run migration -- <name>, in small letters, digits and underscores');
  }
  const databaseUrl = process.env.DATABASE_URL;
  if (!databaseUrl) throw new Error('DATABASE_URL must name a Postgres; nothing is written there');

  const schema = await readFile('prisma/schema.prisma', 'utf8');
  const sql = await diffSchemas(databaseUrl, await readIfThere(migratedSchema), schema);
  if (sql === '') return 'prisma/schema.prisma says nothing that the migrations do not do already';

  const timestamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14);
  const migration = join(folder, `${timestamp}_${name}`);
  await mkdir(migration, { recursive: true });
  await writeFile(join(migration, 'migration.sql'), sql, { flag: 'wx' });
  await writeFile(migratedSchema, schema);
  return `written: ${join(migration, 'migration.sql')}`;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

try {
  process.stdout.write(`${await main()}\n`);
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 2;
}
