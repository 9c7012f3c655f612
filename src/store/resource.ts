import type { Resource } from '../protocol/client.ts';
import type { Seconds } from '../protocol/time.ts';
import { changing } from './change.ts';
import type { Database } from './database.ts';
import type { Resource as Row } from './generated/client.ts';
import { raiseLongestTokenTtlWithin } from './issuer.ts';

export async function listResources(database: Database): Promise<Resource[]> {
  return (await database.prisma.resource.findMany({ orderBy: { identifier: 'asc' } })).map(fromRow);
}

export async function findResource(database: Database, identifier: string): Promise<Resource | undefined> {
  const row = await database.prisma.resource.findUnique({ where: { identifier } });
  return row === null ? undefined : fromRow(row);
}

/** Adds a resource service. False, and nothing written, where the identifier is taken. */
export async function addResource(database: Database, resource: Resource): Promise<boolean> {
  return changing(database, async (tx, changed) => {
    const { count } = await tx.resource.createMany({ data: [toRow(resource)], skipDuplicates: true });
    if (count === 0) return false;
    await raiseFor(resource.accessTtl, (ttl) => raiseLongestTokenTtlWithin(tx, ttl));
    changed('issuer', '1');
    changed('resource', resource.identifier);
    return true;
  });
}

/** Changes what is given of a resource service; undefined where there is no such one. */
export async function updateResource(
  database: Database,
  identifier: string,
  values: Partial<Pick<Resource, 'scopes' | 'alg' | 'accessTtl'>>,
): Promise<Resource | undefined> {
  return changing(database, async (tx, changed) => {
    if ((await tx.resource.count({ where: { identifier } })) === 0) return undefined;
    await raiseFor(values.accessTtl, (ttl) => raiseLongestTokenTtlWithin(tx, ttl));
    const row = await tx.resource.update({ where: { identifier }, data: values as Partial<Row> & { scopes?: object } });
    changed('issuer', '1');
    changed('resource', identifier);
    return fromRow(row);
  });
}

async function raiseFor(ttl: Seconds | null | undefined, raise: (ttl: Seconds) => Promise<void>): Promise<void> {
  if (ttl !== null && ttl !== undefined) await raise(ttl);
}

function fromRow(row: Row): Resource {
  return {
    identifier: row.identifier,
    scopes: row.scopes as Resource['scopes'],
    alg: row.alg,
    accessTtl: row.accessTtl,
  };
}

function toRow(resource: Resource) {
  return { ...resource, scopes: { ...resource.scopes } };
}
