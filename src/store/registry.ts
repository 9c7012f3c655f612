/**
 * Clients, resource services and roles in memory, so that issuing a token asks the database nothing. All resource services
 * are held, and clients up to a cap; beyond it a client is loaded when it is first named, and the one loaded
 * longest ago goes. Kept fresh by the change log.
 */
import type { Client, Resource } from '../protocol/client.ts';
import type { Change } from './change.ts';
import { findClient, listClients } from './client.ts';
import type { Database } from './database.ts';
import { listResources } from './resource.ts';
import { createWebOrigins } from './web-origins.ts';

/** How many clients are held in memory: about 40 MB. */
export const clientCap = 50_000;

export interface Registry {
  /** The client of that id; a promise only where it has to be loaded. */
  client(id: string): Client | undefined | Promise<Client | undefined>;
  resource(identifier: string): Resource | undefined;
  resources(): IterableIterator<Resource>;
  /** Whether any client has registered the web origin. */
  hasOrigin(origin: string): boolean;
  /** Ids of the first-party clients that have registered the web origin. */
  firstPartyOf(origin: string): readonly string[];
  /** What roles permit, each permission once. */
  permissionsOf(roles: readonly string[]): string[];
  /** Reads everything anew. */
  load(): Promise<void>;
  /** Reads anew what has changed. */
  refresh(changes: readonly Change[]): Promise<void>;
  /** Rises whenever something may have changed, for those who keep what they derived. */
  readonly version: number;
}

/**
 * `onDemand` is the way to the database of what requests name beyond the cap; `builtIn` are resource services that are in
 * no table, and in no list.
 */
export function createRegistry(
  database: Database,
  cap = clientCap,
  onDemand = database,
  builtIn: readonly Resource[] = [],
): Registry {
  let clients = new Map<string, Client>();
  let resources = new Map<string, Resource>();
  let permissions = new Map<string, readonly string[]>();
  const origins = createWebOrigins(database);
  let complete = true;
  let version = 0;
  /** Loads under way. A change to a client takes its load out, so that what it brings is not kept. */
  const loading = new Map<string, Promise<Client | undefined>>();

  function keep(client: Client): void {
    clients.delete(client.id);
    clients.set(client.id, client);
    const oldest = clients.keys().next().value;
    if (clients.size > cap && oldest !== undefined) {
      clients.delete(oldest);
      complete = false;
    }
  }

  function loadClient(id: string): Promise<Client | undefined> {
    const underWay = loading.get(id);
    if (underWay !== undefined) return underWay;
    const load = findClient(onDemand, id)
      .then((client) => {
        if (client !== undefined && loading.get(id) === load) keep(client);
        return client;
      })
      .finally(() => {
        if (loading.get(id) === load) loading.delete(id);
      });
    loading.set(id, load);
    return load;
  }

  async function loadRoles(): Promise<void> {
    const roles = await database.prisma.role.findMany();
    permissions = new Map(roles.map((role) => [role.name, role.permissions]));
  }

  return {
    client(id) {
      const client = clients.get(id);
      if (client === undefined) return complete ? undefined : loadClient(id);
      // Not moved to the end by each use: in a map of this size that takes longer than the signature.
      return client;
    },
    resource: (identifier) =>
      resources.get(identifier) ?? builtIn.find((resource) => resource.identifier === identifier),
    resources: () => resources.values(),
    hasOrigin: origins.has,
    firstPartyOf: origins.firstPartyOf,
    permissionsOf: (roles) => [...new Set(roles.flatMap((role) => permissions.get(role) ?? []))],

    async load() {
      await loadRoles();
      await origins.load();
      const loadedResources = await listResources(database);
      const loaded: Client[] = [];
      for (let page: Client[] | undefined; page === undefined || (page.length > 0 && loaded.length <= cap); ) {
        page = await listClients(database, loaded.at(-1)?.id ?? '', 2_000);
        loaded.push(...page);
      }
      loading.clear();
      resources = new Map(loadedResources.map((resource) => [resource.identifier, resource]));
      clients = new Map(loaded.slice(0, cap).map((client) => [client.id, client]));
      complete = loaded.length <= cap;
      version += 1;
    },

    async refresh(changes) {
      const changedClients = new Set(changes.filter(({ kind }) => kind === 'client').map(({ name }) => name));
      for (const id of changedClients) {
        loading.delete(id);
        if (!complete && !clients.has(id)) continue;
        const client = await findClient(database, id);
        if (client === undefined) clients.delete(id);
        else keep(client);
      }
      if (changedClients.size > 0) await origins.refresh([...changedClients]);
      const resourcesChanged = changes.some(({ kind }) => kind === 'resource');
      if (resourcesChanged) {
        resources = new Map((await listResources(database)).map((resource) => [resource.identifier, resource]));
      }
      if (changes.some(({ kind }) => kind === 'role')) await loadRoles();
      if (changedClients.size > 0 || resourcesChanged) version += 1;
    },

    get version() {
      return version;
    },
  };
}
