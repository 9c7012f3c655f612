import { openDatabase } from '../../src/store/database.ts';
import { applyMigrations } from '../../src/store/migrations.ts';
import { project } from './project.ts';

/**
 * Fills the empty database at `url`, once per run of the tests. Every `freshDatabase` is a copy of it, so leave no
 * connection to it open.
 */
export async function prepareTemplate(url: string): Promise<void> {
  const database = openDatabase(url);
  await applyMigrations(database, project('prisma/migrations'));
  await database.close();
}
