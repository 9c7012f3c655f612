import { decodeJwt } from 'jose';
import { type Test, test } from 'tap';
import { backUp } from './support/database.ts';
import { startProxy } from './support/database-proxy.ts';
import { type EventReader, openEvents } from './support/event-stream.ts';
import { get, post, registerResource, startIssuer, type TestIssuer } from './support/issuer.ts';
import { obtainTokens, registerApp, registerUser } from './support/people.ts';
import { eventually } from './support/process.ts';
import { revocationOf, revoke } from './support/revocations.ts';

const portOf = ({ app }: TestIssuer) => (app.server.server.address() as { port: number }).port;
const isAccepted = async (issuer: TestIssuer, token: string) =>
  (await get(issuer, '/userinfo', { authorization: `Bearer ${token}` })).status === 200;
const asOf = async (issuer: TestIssuer) => Number((await get(issuer, '/revocations')).headers['revocations-as-of']);

/** An app, somebody who signs in to it, and what brings one more access token. */
async function withTokens(issuer: TestIssuer) {
  await registerResource(issuer);
  await registerUser(issuer);
  const app = await registerApp(issuer, { skipConsent: true });
  const newToken = async (): Promise<string> => (await obtainTokens(issuer, app)).json.access_token;
  return { app, newToken };
}

/** Milliseconds from the answer of one instance until a token is refused by another, and its readers are told. */
async function revokeAndWait(t: Test, one: TestIssuer, other: TestIssuer, reader: EventReader): Promise<number> {
  const { app, newToken } = await withTokens(one);
  const token = await newToken();
  await other.app.refresh();
  t.ok(await isAccepted(other, token));
  const { status } = await post(one, '/revoke', { token }, { authorization: app.basic });
  const answered = performance.now();
  t.equal(status, 200);
  t.notOk(await isAccepted(one, token), 'at once where it was revoked');
  const { data, id } = await reader.next();
  t.same(data.entries, [[revocationOf('jti', decodeJwt(token).jti ?? '').digest, data.entries[0]?.[1]]]);
  t.notOk(await isAccepted(other, token));
  const took = performance.now() - answered;
  t.equal((await get(other, '/revocations')).json.id, id);
  await eventually(async () => (await get(one, '/revocations')).json.id === id);
  return took;
}

/** Waits until so many instances listen. */
async function listeners({ database }: TestIssuer, count: number): Promise<void> {
  const listening = `SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND datname = current_database()`;
  await eventually(async () => (await database.query(listening)).length === count);
}

test('what one instance revokes is in force on all at once, and by the next poll where notifications are lost', async (t) => {
  const one = await startIssuer(t, { listen: true });
  const other = await startIssuer(t, { listen: true, beside: one, settings: { ISSUER: one.issuer } });
  await listeners(one, 2);
  const reader = await openEvents(t, portOf(other));
  await reader.next();
  const took = await revokeAndWait(t, one, other, reader);
  t.ok(took < 900, `${took} ms`);

  const proxy = await startProxy(t, one.databaseUrl, { deaf: true });
  const deaf = await startIssuer(t, { listen: true, beside: { ...one, databaseUrl: proxy.url } });
  const waiting = await openEvents(t, portOf(deaf));
  await waiting.next();
  await listeners(one, 3);
  await revoke(one.database, revocationOf('jti', 'told to nobody'));
  const committed = performance.now();
  t.match(await waiting.next(), { data: { entries: [[revocationOf('jti', 'told to nobody').digest, 4_000_000_000]] } });
  t.ok(performance.now() - committed < 2_500);
  await eventually(() => proxy.swallowed() > 0);
});

test('a clock that jumps makes nothing forgotten', async (t) => {
  let jumped = 0;
  let rounds = 0;
  const { setTimeout: original } = globalThis;
  // House-keeping comes often, and so before the clock is measured again.
  const hasty = (work: () => void, delay: number, ...rest: []) => {
    if (delay !== 20_000) return original(work, delay, ...rest);
    rounds += 1;
    return original(work, 20);
  };
  Object.assign(globalThis, { setTimeout: Object.assign(hasty, original) });
  t.teardown(() => Object.assign(globalThis, { setTimeout: original }));
  const issuer = await startIssuer(t, { wallClock: () => Date.now() + jumped });
  const { app, newToken } = await withTokens(issuer);
  const [token, other] = [await newToken(), await newToken()];
  await post(issuer, '/revoke', { token }, { authorization: app.basic });
  await eventually(async () => (await get(issuer, '/revocations')).json.entries.length === 1);
  jumped = 3_600_000;
  const before = rounds;
  await eventually(() => rounds > before + 2);
  await issuer.app.refresh();
  t.ok(await isAccepted(issuer, other), 'by the time of the database all is as before');
  t.notOk(await isAccepted(issuer, token));
  t.equal((await get(issuer, '/revocations')).json.entries.length, 1);
});

test('an instance without its database goes on saying what it knew, and since when', async (t) => {
  const one = await startIssuer(t);
  await revoke(one.database, revocationOf('jti', 'one'));
  const proxy = await startProxy(t, one.databaseUrl);
  const issuer = await startIssuer(t, { listen: true, beside: { ...one, databaseUrl: proxy.url } });
  const errors = () => issuer.log.filter(({ level }) => Number(level) >= 50).length;
  const reader = await openEvents(t, portOf(issuer));
  await reader.next();
  proxy.cut();
  await eventually(() => errors() > 0);
  const before = await asOf(issuer);
  await revoke(one.database, revocationOf('jti', 'two'));
  const answer = await get(issuer, '/revocations');
  t.equal(answer.status, 200);
  t.equal(answer.json.entries.length, 1, 'of the other it cannot know');
  t.equal(await asOf(issuer), before);
  const age = async () => Date.parse(String((await get(issuer, '/revocations')).headers.date)) / 1000 - before;
  await eventually(async () => (await age()) > 1.5);
  const known = { 'if-none-match': String(answer.headers.etag) };
  t.match(await get(issuer, '/revocations', known), {
    status: 304,
    headers: { 'revocations-as-of': before.toFixed(3) },
  });
  const late = await openEvents(t, portOf(issuer));
  const { data } = await late.next();
  t.equal(data.asOf, before);
  t.equal(data.entries.length, 1);

  await proxy.mend();
  for (const each of [reader, late]) {
    const { data } = await each.next();
    t.same(data.entries, [[revocationOf('jti', 'two').digest, 4_000_000_000]]);
    t.ok(data.asOf > before);
  }
});

test('a database that was put back has another feed, and nothing that was void is accepted', async (t) => {
  const issuer = await startIssuer(t, { listen: true });
  const { newToken } = await withTokens(issuer);
  const [kept, lost, later] = [await newToken(), await newToken(), await newToken()];
  const jti = (token: string) => revocationOf('jti', decodeJwt(token).jti ?? '');
  const entry = (token: string) => [jti(token).digest, 4_000_000_000];
  await revoke(issuer.database, jti(kept));
  const putBack = await backUp(t, issuer.databaseUrl);
  await eventually(() =>
    revoke(issuer.database, jti(lost)).then(
      () => true,
      () => false,
    ),
  );
  await eventually(async () => !(await isAccepted(issuer, lost).catch(() => true)));
  const reader = await openEvents(t, portOf(issuer));
  const before = await reader.next();
  t.same(before.data.entries, [entry(kept), entry(lost)]);

  await putBack();
  // More than was lost, before the issuer reads again: its position is one of the new feed too, but for the name.
  await revoke(issuer.database, ...['a', 'b', 'c'].map((name) => revocationOf('jti', name)), jti(later));
  const after = await reader.next();
  t.not(after.id?.split('-')[0], before.id?.split('-')[0]);
  t.same(after.data.entries.at(-1), entry(later));
  t.equal(after.data.entries.length, 4, 'its readers are told what is new to them');
  const { id, entries } = (await get(issuer, `/revocations?since=${before.id}`)).json;
  t.equal(id, after.id);
  t.equal(entries.length, 5, 'others get all there is');
  for (const token of [kept, lost, later]) t.notOk(await isAccepted(issuer, token));
});
