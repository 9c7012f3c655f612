import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { t as file, type Test, test } from 'tap';
import { connectWhenAvailable, requirePostgres } from '../src/store/connect.ts';
import { type Database, openDatabase } from '../src/store/database.ts';
import { DatabaseError, explainDatabaseError } from '../src/store/database-errors.ts';
import { freshDatabase } from './support/database.ts';

const { url } = await freshDatabase(file);

function open(t: Test, change: (url: URL) => void): Database {
  const changed = new URL(url);
  change(changed);
  const database = openDatabase(changed.href);
  t.teardown(() => database.close());
  return database;
}

const at = (port: number) => (changed: URL) => {
  changed.host = `127.0.0.1:${port}`;
};

async function listening(t: Test, server: net.Server, port = 0): Promise<number> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function closedPort(t: Test): Promise<number> {
  const server = net.createServer();
  const port = await listening(t, server);
  server.close();
  await once(server, 'close');
  return port;
}

/** A server that does this with each connection, none of which outlives the test. */
function serverThat(t: Test, does: (socket: net.Socket) => void): net.Server {
  return net.createServer((socket) => {
    t.teardown(() => socket.destroy());
    socket.on('error', () => undefined);
    does(socket);
  });
}

async function thrownBy(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

const patient = { onWaiting: () => undefined, signal: new AbortController().signal };

test('what Prisma throws is understood like what pg throws', async (t) => {
  const refused = open(t, at(await closedPort(t)));
  const nameless = open(t, (changed) => {
    changed.pathname = '/nonesuch';
  });
  const withoutTls = open(t, (changed) => changed.searchParams.set('sslmode', 'verify-full'));
  const { host, port } = nameless.address;

  for (const [database, kind, message] of [
    [refused, 'unavailable', `Postgres at 127.0.0.1:${refused.address.port} cannot be reached`],
    [nameless, 'configuration', `Postgres at ${host}:${port} has no database "nonesuch"`],
    [withoutTls, 'configuration', `Postgres at ${host}:${port} does not offer TLS, which the database URL asks for`],
  ] as const) {
    const errors = await Promise.all([
      thrownBy(database.query('SELECT 1')),
      thrownBy(database.prisma.issuer.count()),
      thrownBy(database.prisma.$transaction(async (tx) => tx.issuer.count())),
    ]);
    for (const error of errors) {
      const explained = explainDatabaseError(error, database.address);
      t.equal(explained.kind, kind);
      t.equal(explained.message.replace(' (ECONNREFUSED)', ''), message);
    }
  }
});

test('a wrong password is named, and not shown', async (t) => {
  if (new URL(url).password === '') return t.comment('this Postgres asks for no password');
  const wrong = open(t, (changed) => {
    changed.password = 'hunter2';
  });
  const { host, port, user } = wrong.address;
  await t.rejects(connectWhenAvailable(wrong, patient), {
    kind: 'configuration',
    message: `Postgres at ${host}:${port} does not accept the password of user "${user}"`,
  });
  const none = open(t, (changed) => {
    changed.password = '';
  });
  await t.rejects(connectWhenAvailable(none, patient), {
    kind: 'configuration',
    message: `Postgres at ${host}:${port} asks user "${user}" for a password, and the database URL has none`,
  });
});

test('a lost connection and a slow statement pass; a mistake of ours is neither', async (t) => {
  const database = open(t, () => undefined);
  const explain = async (text: string) => explainDatabaseError(await thrownBy(database.query(text)), database.address);
  t.match(await explain('SELECT pg_terminate_backend(pg_backend_pid())'), { kind: 'unavailable' });
  const slow = 'BEGIN; SET LOCAL statement_timeout = 1; SELECT pg_sleep(1)';
  const timedOut = await thrownBy(database.pool.query(slow));
  t.match(explainDatabaseError(timedOut, database.address), { kind: 'busy', message: /statement timeout/ });
  t.same(await explain('SELECT 1 FROM nowhere'), { kind: 'other', message: 'relation "nowhere" does not exist' });
  const raw = await thrownBy(database.prisma.$queryRawUnsafe('SELECT 1 FROM nowhere'));
  t.same(explainDatabaseError(raw, database.address), { kind: 'other', message: 'relation "nowhere" does not exist' });
});

test('a Postgres with no connection left may have one later', async (t) => {
  const admin = open(t, () => undefined);
  const [{ name, superuser } = {}] = await admin.query<{ name: string; superuser: string }>(
    `SELECT current_database() AS name, current_setting('is_superuser') AS superuser`,
  );
  if (superuser === 'on') return t.comment('a superuser always has one');
  await admin.query(`ALTER DATABASE ${name} CONNECTION LIMIT 1`);
  t.teardown(() => admin.query(`ALTER DATABASE ${name} CONNECTION LIMIT -1`));
  const late = open(t, () => undefined);
  for (const asked of [late.query('SELECT 1'), late.prisma.issuer.count()]) {
    const explained = explainDatabaseError(await thrownBy(asked), late.address);
    t.match(explained, { kind: 'unavailable', message: /^Postgres at .* cannot serve now: too many connections/ });
  }
});

test('a Postgres that is too old is refused', async (t) => {
  // The set-up of a connection comes before its search path is set, so this one claims to be an old server.
  const admin = open(t, () => undefined);
  await admin.query('CREATE SCHEMA old');
  await admin.query(`CREATE FUNCTION old.current_setting(text) RETURNS text LANGUAGE sql
    AS $$ SELECT CASE $1 WHEN 'server_version_num' THEN '120022' ELSE '12.22' END $$`);
  const old = open(t, (changed) => changed.searchParams.set('options', '-c search_path=old,pg_catalog'));
  await t.rejects(connectWhenAvailable(old, patient), {
    kind: 'configuration',
    message: `Postgres at ${old.address.host}:${old.address.port} is version 12.22; Keyturn needs 13 or newer`,
  });
});

test('what is not Postgres is refused at once', async (t) => {
  const web = http.createServer((_, response) => response.end());
  const echo = serverThat(t, (socket) => socket.pipe(socket));
  const pushy = serverThat(t, (socket) => socket.write('Nice to meet you'));
  for (const server of [web, echo, pushy]) {
    const port = await listening(t, server);
    await t.rejects(connectWhenAvailable(open(t, at(port)), patient), {
      kind: 'configuration',
      message: `what listens at 127.0.0.1:${port} is not Postgres`,
    });
  }
});

test('silence, hanging up, a full Postgres and nobody there may pass', async (t) => {
  const silent = await listening(
    t,
    serverThat(t, () => undefined),
  );
  const curt = await listening(
    t,
    serverThat(t, (socket) => socket.resume().end()),
  );
  const full = await listening(
    t,
    serverThat(t, (socket) => socket.write('Ecould not fork new process\n\0')),
  );
  const closed = await closedPort(t);
  for (const [port, message] of [
    [silent, `nothing answers as Postgres at 127.0.0.1:${silent} within 0.1 s`],
    [curt, `what listens at 127.0.0.1:${curt} hangs up without an answer`],
    [full, `Postgres at 127.0.0.1:${full} cannot take another connection now`],
    [closed, `Postgres at 127.0.0.1:${closed} cannot be reached (ECONNREFUSED)`],
  ] as const) {
    const { address } = open(t, at(port));
    const error = await thrownBy(requirePostgres(address, 100));
    t.same(explainDatabaseError(error, address), { kind: 'unavailable', message });
  }
  const { address } = open(t, (changed) => {
    changed.hostname = 'postgres.invalid';
  });
  const error = await thrownBy(requirePostgres(address, 10_000));
  t.match(explainDatabaseError(error, address), { kind: 'unavailable', message: /"postgres\.invalid"/ });
});

test('Redis and MariaDB are told from Postgres', async (t) => {
  for (const [port, kind, message] of [
    [6379, 'unavailable', 'nothing answers as Postgres at 127.0.0.1:6379 within 0.2 s'],
    [3306, 'configuration', 'what listens at 127.0.0.1:3306 is not Postgres'],
  ] as const) {
    const { address } = open(t, at(port));
    const error = await thrownBy(requirePostgres(address, 200));
    const explained = explainDatabaseError(error, address);
    if (explained.message.endsWith('(ECONNREFUSED)')) t.comment(`nothing listens at port ${port}`);
    else t.same(explained, { kind, message });
  }
});

test('it waits until Postgres is there, and says once why it waits', async (t) => {
  const port = await closedPort(t);
  const database = open(t, at(port));
  const { hostname, port: realPort } = new URL(url);
  const curt = serverThat(t, (socket) => socket.resume().end());
  const forwarder = serverThat(t, (socket) => {
    const postgres = net.connect(Number(realPort), hostname);
    socket.pipe(postgres).pipe(socket);
    postgres.on('close', () => socket.destroy());
    socket.on('close', () => postgres.destroy());
  });
  let attempts = 0;
  curt.on('connection', () => {
    attempts += 1;
    if (attempts === 2) curt.close(() => forwarder.listen(port, '127.0.0.1'));
  });
  t.teardown(() => forwarder.close());

  const said: string[] = [];
  await connectWhenAvailable(database, {
    signal: new AbortController().signal,
    onWaiting(message) {
      said.push(message);
      if (said.length === 1) curt.listen(port, '127.0.0.1');
    },
  });
  t.same(said.slice(0, 2), [
    `Postgres at 127.0.0.1:${port} cannot be reached (ECONNREFUSED)`,
    `what listens at 127.0.0.1:${port} hangs up without an answer`,
  ]);
  t.equal(attempts, 2);
  t.same(await database.query('SELECT 1 AS one'), [{ one: 1 }]);
});

test('it stops waiting when told to, between attempts and during one', async (t) => {
  const reason = new Error('enough');
  const between = new AbortController();
  const refused = open(t, at(await closedPort(t)));
  const onWaiting = () => between.abort(reason);
  t.equal(await thrownBy(connectWhenAvailable(refused, { onWaiting, signal: between.signal })), reason);

  const during = new AbortController();
  const silent = serverThat(t, () => during.abort(reason));
  const waiting = open(t, at(await listening(t, silent)));
  t.equal(await thrownBy(connectWhenAvailable(waiting, { ...patient, signal: during.signal })), reason);
});

test('an error of this room is explained by itself', async (t) => {
  const { address } = open(t, () => undefined);
  const error = new Error('outer', { cause: new DatabaseError('configuration', 'the line') });
  t.same(explainDatabaseError(error, address), { kind: 'configuration', message: 'the line' });
});
