/**
 * Which web origins clients have registered, of all clients, whether they are held in memory or not: a page of a registered
 * origin comes without a client's id.
 */
import type { Database } from './database.ts';

export interface WebOrigins {
  /** Whether any client has registered it. */
  has(origin: string): boolean;
  /** Ids of the first-party clients that have registered it. */
  firstPartyOf(origin: string): readonly string[];
  /** Reads everything anew. */
  load(): Promise<void>;
  /** Reads anew what these clients have registered, and nothing of the others. */
  refresh(clientIds: readonly string[]): Promise<void>;
}

/** What one client has registered. */
interface Row {
  readonly id: string;
  readonly origins: string[];
  readonly first_party: boolean;
}

/** Who has registered one origin. */
interface Registered {
  firstParty: readonly string[];
  /** How many others. */
  others: number;
}

export function createWebOrigins(database: Database): WebOrigins {
  let clients = new Map<string, Row>();
  let origins = new Map<string, Registered>();

  function add(row: Row): void {
    if (row.origins.length === 0) return;
    clients.set(row.id, row);
    for (const origin of new Set(row.origins)) {
      const registered = origins.get(origin) ?? { firstParty: [], others: 0 };
      if (row.first_party) registered.firstParty = [...registered.firstParty, row.id];
      else registered.others += 1;
      origins.set(origin, registered);
    }
  }

  function remove(id: string): void {
    const row = clients.get(id);
    if (row === undefined) return;
    clients.delete(id);
    for (const origin of new Set(row.origins)) {
      const registered = origins.get(origin) as Registered;
      if (row.first_party) registered.firstParty = registered.firstParty.filter((other) => other !== id);
      else registered.others -= 1;
      if (registered.others === 0 && registered.firstParty.length === 0) origins.delete(origin);
    }
  }

  return {
    has: (origin) => origins.has(origin),
    firstPartyOf: (origin) => origins.get(origin)?.firstParty ?? [],

    async load() {
      const rows = await database.query<Row & Record<string, unknown>>(
        "SELECT id, origins, first_party FROM client WHERE origins <> '{}' ORDER BY id",
      );
      clients = new Map();
      origins = new Map();
      for (const row of rows) add(row);
    },

    async refresh(clientIds) {
      const rows = await database.query<Row & Record<string, unknown>>(
        'SELECT id, origins, first_party FROM client WHERE id = ANY ($1)',
        [clientIds],
      );
      for (const id of clientIds) remove(id);
      for (const row of rows) add(row);
    },
  };
}
