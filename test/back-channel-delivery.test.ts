import type { ServerResponse } from 'node:http';
import { pino } from 'pino';
import { type Test, test } from 'tap';
import { createBackChannel } from '../src/login/back-channel.ts';
import { type Client, clientDefaults } from '../src/protocol/client.ts';
import { changing } from '../src/store/change.ts';
import { addClient, findClient } from '../src/store/client.ts';
import { openDatabase } from '../src/store/database.ts';
import { forgetOldDeliveries } from '../src/store/delivery.ts';
import { addLogoutDeliveries, claimDueDeliveries } from '../src/store/logout-delivery.ts';
import { createTestClock } from './support/clock.ts';
import { freshDatabase } from './support/database.ts';
import { freePort } from './support/issuer.ts';
import { type Answering, startLogoutReceiver } from './support/logout-receiver.ts';

/** The back channel alone, on a database with one client. */
async function start(t: Test, client: { answering?: Answering; uri?: string; timeout?: number } = {}) {
  const { url } = await freshDatabase(t);
  const database = openDatabase(url);
  const clock = createTestClock();
  const receiver = await startLogoutReceiver(t, client.answering);
  const registered: Client = {
    ...clientDefaults,
    id: 'client_web',
    name: 'Web shop',
    secretDigests: ['digest'],
    backchannelLogoutUri: client.uri ?? receiver.uri,
  };
  await addClient(database, registered);
  let tokens = 0;
  const instance = () =>
    createBackChannel({
      database,
      client: (id) => findClient(database, id),
      async logoutToken({ clientId, sid }) {
        tokens += 1;
        return `token-${tokens}-${clientId}-${sid}`;
      },
      now: clock.now,
      log: pino({ level: 'silent' }),
      timeout: client.timeout ?? 10_000,
      patience: 10_000,
    });
  const channel = instance();
  t.teardown(async () => {
    await channel.stop();
    await database.close();
  });
  let logouts = 0;
  return {
    database,
    clock,
    receiver,
    channel,
    instance,
    /** Writes a sign-out down, as the end of a session does. */
    async signOut(): Promise<string> {
      logouts += 1;
      const logoutId = `logout_${logouts}`;
      const logout = { logoutId, userId: 'user_ada', sessionId: 'session_1', clientIds: ['client_web', 'client_none'] };
      await changing(database, (tx) => addLogoutDeliveries(tx, logout, clock.now()));
      return logoutId;
    },
    rows: () => database.prisma.logoutDelivery.findMany({ orderBy: { id: 'asc' } }),
  };
}

test('a client that answers 200 or 204 has been told, and is not told again', async (t) => {
  for (const status of [200, 204]) {
    const { channel, signOut, receiver, rows, clock } = await start(t, {
      answering: (response) => response.writeHead(status).end(),
    });
    t.same(await channel.tell(await signOut()), [{ clientId: 'client_web', state: 'told' }]);
    const [row] = await rows();
    t.match(row, { attempts: 1, nextAttemptAt: null, failure: null, deliveredAt: new Date(clock.now() * 1000) });
    clock.advance(86_400);
    await channel.tellDue();
    t.equal(receiver.notices.length, 1);
    t.equal(receiver.notices[0]?.body, 'logout_token=token-1-client_web-session_1');
  }
});

test('a client that fails is told again after growing pauses, and given up after a good hour', async (t) => {
  const { channel, signOut, receiver, rows, clock } = await start(t, {
    answering: (response) => response.writeHead(500).end('<b>what the receiver says</b>'),
  });
  t.same(await channel.tell(await signOut()), [{ clientId: 'client_web', state: 'failed' }]);
  for (const [at, pause] of [1, 10, 60, 600, 3600].entries()) {
    t.match(await rows(), [{ failure: 'it answered 500', attempts: at + 1, deliveredAt: null }]);
    clock.advance(pause - 1);
    await channel.tellDue();
    t.equal(receiver.notices.length, at + 1, `not before ${pause} s`);
    clock.advance(1);
    await channel.tellDue();
    t.equal(receiver.notices.length, at + 2, `after ${pause} s`);
  }
  t.match(await rows(), [{ failure: 'it answered 500', attempts: 6, deliveredAt: null, nextAttemptAt: null }]);
  clock.advance(7 * 86_400);
  await channel.tellDue();
  t.equal(receiver.notices.length, 6);
  t.equal(new Set(receiver.notices.map(({ token }) => token)).size, 6, 'each attempt has a token of its own');
});

test('a client that comes back is told', async (t) => {
  let up = false;
  const answering = (response: ServerResponse) => response.writeHead(up ? 200 : 503).end();
  const { channel, signOut, rows, clock } = await start(t, { answering });
  await channel.tell(await signOut());
  up = true;
  clock.advance(1);
  await channel.tellDue();
  t.match(await rows(), [{ attempts: 2, nextAttemptAt: null, failure: null, deliveredAt: Date }]);
});

test('what went wrong is recorded in words of ours', async (t) => {
  const unused = await startLogoutReceiver(t);
  const nobody = `http://127.0.0.1:${await freePort()}/`;
  const cases: [string, Parameters<typeof start>[1], string][] = [
    ['a receiver that hangs', { answering: () => {}, timeout: 200 }, 'it did not answer within 0.2 s'],
    ['one that redirects', { answering: (response) => redirect(response) }, 'it answered 302'],
    ['one that refuses', { answering: (response) => response.writeHead(400).end('evil') }, 'it answered 400'],
    ['one that hangs up', { answering: (response) => response.destroy() }, 'it could not be reached (UND_ERR_SOCKET)'],
    ['one that speaks no HTTP', { answering: garble }, 'it could not be reached (HPE_INVALID_CONSTANT)'],
    ['a port that nobody listens on', { uri: nobody }, 'it refused the connection'],
    ['a host that is not there', { uri: 'https://nowhere.invalid/' }, 'its host has no address'],
    ['no TLS where it should be', { uri: unused.uri.replace('http:', 'https:') }, 'it could not be reached (ERR_SSL'],
  ];
  for (const [name, client, failure] of cases) {
    const { channel, signOut, rows } = await start(t, client);
    t.match(await channel.tell(await signOut()), [{ state: 'failed' }], name);
    const [row] = await rows();
    t.ok(row?.failure?.startsWith(failure), `${name}: ${row?.failure}`);
    t.type(row?.nextAttemptAt, Date, 'and it is tried again');
  }

  function redirect(response: ServerResponse): void {
    response.writeHead(302, { location: unused.uri }).end();
  }
  function garble(response: ServerResponse): void {
    response.socket?.end('what is this\r\n\r\n');
  }
  t.equal(unused.notices.length, 0, 'nobody follows a redirect');
});

test('an address that is neither https nor on this machine is never asked', async (t) => {
  for (const uri of [
    'http://intranet.example/',
    'ftp://app.example/',
    'file:///etc/passwd',
    'http://169.254.169.254/',
  ]) {
    const { channel, signOut, rows } = await start(t, { uri });
    t.match(await channel.tell(await signOut()), [{ state: 'failed' }]);
    t.match(await rows(), [{ failure: 'its back-channel address is neither https nor on this machine' }], uri);
  }
});

test('a receiver that never stops talking is hung up on', async (t) => {
  let sent = 0;
  let hungUp = () => {};
  const closed = new Promise<void>((resolve) => {
    hungUp = resolve;
  });
  const { channel, signOut } = await start(t, {
    answering(response) {
      const chunk = Buffer.alloc(64 * 1024);
      const more = () => {
        while (!response.destroyed && sent < 1_000_000_000) {
          sent += chunk.length;
          if (!response.write(chunk)) return void response.once('drain', more);
        }
      };
      response.on('close', hungUp);
      more();
    },
  });
  t.match(await channel.tell(await signOut()), [{ state: 'told' }]);
  await closed;
  t.ok(sent < 20_000_000, `${sent} bytes of an endless answer`);
});

test('who is slow is pending when patience is over, and told in the end', async (t) => {
  let answer = () => {};
  const { database, clock, signOut, receiver } = await start(t, {
    answering(response) {
      answer = () => response.end();
    },
  });
  const options = { database, client: (id: string) => findClient(database, id), now: clock.now };
  const log = pino({ level: 'silent' });
  const patient = createBackChannel({
    ...options,
    logoutToken: async () => 'token',
    log,
    timeout: 10_000,
    patience: 0,
  });
  const telling = patient.tell(await signOut());
  await receiver.next();
  t.same(await telling, [{ clientId: 'client_web', state: 'pending' }]);
  answer();
  await patient.stop();
  t.equal(receiver.notices.length, 1);
});

test('of many instances one attempts each delivery', async (t) => {
  const { channel, instance, signOut, receiver, clock } = await start(t);
  for (let count = 0; count < 20; count += 1) await signOut();
  clock.advance(2);
  const others = [instance(), instance()];
  await Promise.all([channel, ...others].map((one) => one.tellDue()));
  t.equal(receiver.notices.length, 20);
});

test('who has ended the session is the first to tell; others do where that one is gone', async (t) => {
  const { channel, instance, signOut, receiver, clock } = await start(t);
  const logoutId = await signOut();
  await instance().tellDue();
  t.equal(receiver.notices.length, 0);
  await Promise.all([channel.tell(logoutId), instance().tell(logoutId)]);
  t.equal(receiver.notices.length, 1, 'told once');
  await signOut();
  clock.advance(2);
  await instance().tellDue();
  t.equal(receiver.notices.length, 2, 'the second of them by another instance');
});

test('an attempt that was cut off is made again by somebody else', async (t) => {
  const { database, channel, signOut, receiver, clock } = await start(t);
  await signOut();
  clock.advance(2);
  t.equal((await claimDueDeliveries(database, clock.now(), clock.now() + 15, 10)).length, 1);
  clock.advance(14);
  await channel.tellDue();
  t.equal(receiver.notices.length, 0);
  clock.advance(1);
  await channel.tellDue();
  t.equal(receiver.notices.length, 1);
});

test('a stop breaks off what hangs, and counts it neither as told nor as failed', async (t) => {
  const { channel, signOut, receiver, rows, clock } = await start(t, { answering: () => {} });
  await signOut();
  clock.advance(2);
  const telling = channel.tellDue();
  await receiver.next();
  await channel.stop();
  await telling;
  t.match(await rows(), [{ attempts: 1, failure: null, deliveredAt: null, nextAttemptAt: Date }]);
});

test('a client that has no address any more is given up', async (t) => {
  const { database, channel, signOut, rows } = await start(t);
  const logoutId = await signOut();
  await database.prisma.client.update({ where: { id: 'client_web' }, data: { backchannelLogoutUri: null } });
  t.match(await channel.tell(logoutId), [{ state: 'failed' }]);
  const failure = 'the client has no back-channel address any more';
  t.match(await rows(), [{ failure, nextAttemptAt: null, deliveredAt: null }]);
});

test('clients without an address are not written down, and a week later nothing is left', async (t) => {
  const { database, signOut, rows } = await start(t);
  await signOut();
  t.match(
    (await rows()).map(({ clientId }) => clientId),
    ['client_web'],
  );
  await forgetOldDeliveries(database, 'logout_delivery');
  t.equal((await rows()).length, 1);
  await database.query(`UPDATE logout_delivery SET created_at = now() - interval '8 days'`);
  await forgetOldDeliveries(database, 'logout_delivery');
  t.equal((await rows()).length, 0);
});
