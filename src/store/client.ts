import type { Client, ClientAuthMethod } from '../protocol/client.ts';
import type { NumericDate } from '../protocol/time.ts';
import { type Changed, changing, type Transaction } from './change.ts';
import type { Database } from './database.ts';
import type { Client as Row } from './generated/client.ts';
import { toDate, toNumericDateOrNull } from './instant.ts';

/** Clients in the order of their ids, a page at a time. */
export async function listClients(database: Database, after: string, limit: number): Promise<Client[]> {
  const rows = await database.prisma.client.findMany({
    where: { id: { gt: after } },
    orderBy: { id: 'asc' },
    take: limit,
  });
  return rows.map(fromRow);
}

export async function findClient(database: Database, id: string): Promise<Client | undefined> {
  const row = await database.prisma.client.findUnique({ where: { id } });
  return row === null ? undefined : fromRow(row);
}

/** Adds a client. False, and nothing written, where the id is taken. */
export async function addClient(database: Database, client: Client): Promise<boolean> {
  return changing(database, async (tx, changed) => {
    const { count } = await tx.client.createMany({ data: [toRow(client)], skipDuplicates: true });
    if (count > 0) changed('client', client.id);
    return count > 0;
  });
}

/** The parts of a client that an administrator may change. */
export type ClientChange = Partial<Omit<Client, 'id'>>;

/**
 * Reads a client, lets `decide` say what changes, and writes that, under a lock on the row. Undefined: no such one. Where
 * `after.epoch` has risen, tokens are void, and the transaction has to say so in the denylist.
 */
export async function changeClient(
  tx: Transaction,
  changed: Changed,
  id: string,
  decide: (client: Client) => Promise<ClientChange>,
): Promise<{ before: Client; after: Client } | undefined> {
  await tx.$executeRaw`SELECT 1 FROM client WHERE id = ${id} FOR UPDATE`;
  const row = await tx.client.findUnique({ where: { id } });
  if (row === null) return undefined;
  const before = fromRow(row);
  const after = { ...before, ...(await decide(before)) };
  await tx.client.update({ where: { id }, data: toRow(after) });
  changed('client', id);
  return { before, after };
}

function fromRow(row: Row): Client {
  return {
    id: row.id,
    name: row.name,
    authMethod: row.authMethod as ClientAuthMethod,
    secretDigests: row.secretDigests,
    previousSecretExpiresAt: toNumericDateOrNull(row.previousSecretExpiresAt),
    grantTypes: row.grantTypes,
    redirectUris: row.redirectUris,
    postLogoutRedirectUris: row.postLogoutRedirectUris,
    backchannelLogoutUri: row.backchannelLogoutUri,
    origins: row.origins,
    scopes: row.scopes,
    resources: row.resources,
    serves: row.serves,
    firstParty: row.firstParty,
    cookieDomain: row.cookieDomain,
    skipConsent: row.skipConsent,
    pkceRequired: row.pkceRequired,
    idTokenAlg: row.idTokenAlg,
    refreshRotates: row.refreshRotates,
    epoch: row.epoch,
    grantEpoch: row.grantEpoch,
    disabledAt: toNumericDateOrNull(row.disabledAt),
  };
}

function toRow(client: Client) {
  return {
    ...client,
    secretDigests: [...client.secretDigests],
    grantTypes: [...client.grantTypes],
    redirectUris: [...client.redirectUris],
    postLogoutRedirectUris: [...client.postLogoutRedirectUris],
    origins: [...client.origins],
    serves: [...client.serves],
    scopes: [...client.scopes],
    resources: [...client.resources],
    previousSecretExpiresAt: toDateOrNull(client.previousSecretExpiresAt),
    disabledAt: toDateOrNull(client.disabledAt),
  };
}

function toDateOrNull(instant: NumericDate | null): Date | null {
  return instant === null ? null : toDate(instant);
}
