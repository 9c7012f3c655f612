import { type Test, test } from 'tap';
import { type Client, clientDefaults } from '../src/protocol/client.ts';
import { addClient, findClient } from '../src/store/client.ts';
import { type Database, openDatabase } from '../src/store/database.ts';
import { createRegistry } from '../src/store/registry.ts';
import { freshDatabase } from './support/database.ts';
import { updateClient } from './support/issuer.ts';

function clientNamed(id: string): Client {
  return {
    ...clientDefaults,
    id,
    name: id,
    secretDigests: ['digest'],
  };
}

async function databaseWithClients(t: Test, count: number) {
  const { url } = await freshDatabase(t);
  const statements: string[] = [];
  const database = openDatabase(url, { onStatement: (text) => statements.push(text) });
  t.teardown(() => database.close());
  const ids = Array.from({ length: count }, (_, at) => `client_${at}`);
  for (const id of ids) await addClient(database, clientNamed(id));
  return { database, statements, ids };
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

const changed = (name: string) => ({ id: 1n, kind: 'client' as const, name });

async function disable(database: Database, id: string): Promise<void> {
  await updateClient(database, id, async () => ({ disabledAt: 1 }));
}

test('clients within the cap are all in memory, and unknown ids ask nobody', async (t) => {
  const { database, statements, ids } = await databaseWithClients(t, 3);
  const registry = createRegistry(database, 3);
  await registry.load();
  statements.length = 0;
  for (const id of ids) t.match(registry.client(id), { id });
  t.equal(registry.client('nobody'), undefined);
  t.same(statements, []);
});

test('past the cap a client is loaded when it is first named, and the one loaded longest ago goes', async (t) => {
  const { database, statements, ids } = await databaseWithClients(t, 4);
  const registry = createRegistry(database, 2);
  await registry.load();
  for (const id of ids) t.match(await registry.client(id), { id }, 'every client is found');
  t.equal(await registry.client('nobody'), undefined);

  await registry.client('client_0');
  await registry.client('client_1');
  await registry.client('client_0'); // its use does not count
  await registry.client('client_2');
  statements.length = 0;
  await registry.client('client_1');
  t.equal(statements.length, 0, 'the newer one is held');
  await registry.client('client_0');
  t.equal(statements.length, 1, 'the other is loaded again, by one statement');
});

test('many requests for a client that is not held load it once', async (t) => {
  const { database, statements } = await databaseWithClients(t, 3);
  const registry = createRegistry(database, 1);
  await registry.load();
  statements.length = 0;
  const found = await Promise.all(Array.from({ length: 20 }, () => registry.client('client_2')));
  t.ok(found.every((client) => client?.id === 'client_2'));
  t.equal(statements.length, 1);
});

test('a change while a client is being loaded is never lost', async (t) => {
  const { database } = await databaseWithClients(t, 3);
  // The load has read the row as it was, and its answer is on the way when the change is taken in.
  const held = deferred();
  const read = deferred();
  const before = await findClient(database, 'client_2');
  const slow = Object.create(database, {
    prisma: {
      value: {
        resource: { findMany: async () => [] },
        role: { findMany: async () => [] },
        client: {
          findMany: database.prisma.client.findMany.bind(database.prisma.client),
          findUnique: async (query: never) => {
            const row = await database.prisma.client.findUnique(query);
            read.resolve();
            await held.promise;
            return row;
          },
        },
      },
    },
  }) as Database;
  const registry = createRegistry(slow, 1);
  await registry.load();
  const loading = registry.client('client_2');
  await read.promise;
  await disable(database, 'client_2');
  const refreshing = registry.refresh([changed('client_2')]);
  held.resolve();
  await refreshing;
  t.equal((await loading)?.disabledAt, before?.disabledAt, 'who asked before the change may see it as it was');
  t.equal((await registry.client('client_2'))?.disabledAt, 1, 'who asks after it does not');
});

test('a changed client is read anew, a vanished one is gone', async (t) => {
  const { database, ids } = await databaseWithClients(t, 2);
  const registry = createRegistry(database);
  await registry.load();
  const { version } = registry;
  await disable(database, ids[0] ?? '');
  await database.prisma.client.delete({ where: { id: ids[1] ?? '' } });
  await registry.refresh(ids.map(changed));
  t.match(registry.client('client_0'), { disabledAt: 1 });
  t.equal(registry.client('client_1'), undefined);
  t.ok(registry.version > version, 'who derives something from it is told');
  const after = registry.version;
  await registry.refresh([{ id: 2n, kind: 'signing_key', name: 'kid' }]);
  t.equal(registry.version, after, 'what is none of its business changes nothing');
});

test('web origins are known of all clients, and a change asks for those of the changed client alone', async (t) => {
  const { database, statements } = await databaseWithClients(t, 1);
  const shop = 'https://shop.example';
  const forum = 'https://forum.example';
  await addClient(database, { ...clientNamed('x'), origins: [shop, shop], firstParty: true });
  await addClient(database, { ...clientNamed('y'), origins: [shop, forum] });
  const registry = createRegistry(database, 1); // neither of these two is held
  await registry.load();
  t.same([shop, forum, 'null'].map(registry.hasOrigin), [true, true, false]);
  t.same([shop, forum].map(registry.firstPartyOf), [['x'], []]);

  const change = async (id: string, values: Partial<Client>) => {
    await updateClient(database, id, async () => values);
    statements.length = 0;
    await registry.refresh([changed(id)]);
    const [text, ...more] = statements;
    t.same(more, []);
    t.match(text, /WHERE id = ANY/);
  };
  await change('y', { origins: [forum], firstParty: true });
  t.same([shop, forum].map(registry.firstPartyOf), [['x'], ['y']]);
  await change('x', { origins: [forum], firstParty: true });
  t.same(registry.hasOrigin(shop), false);
  t.same(registry.firstPartyOf(forum), ['y', 'x']);
  await change('y', { origins: [] });
  t.same(registry.firstPartyOf(forum), ['x']);
  await database.prisma.client.delete({ where: { id: 'x' } });
  await registry.refresh([changed('x')]);
  t.same(registry.hasOrigin(forum), false);
});
