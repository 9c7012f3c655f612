import { randomBytes } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import zlib, { brotliDecompressSync, gunzipSync } from 'node:zlib';
import tap, { test } from 'tap';
import { compress } from '../src/http/compression.ts';
import type { NewRevocation, Revocation } from '../src/store/revocation.ts';
import { createFeed, type Feed } from '../src/tokens/feed.ts';
import { type Answer, background, get, startIssuer } from './support/issuer.ts';
import { revocationOf, revoke } from './support/revocations.ts';

const issuer = await startIssuer(tap);

async function revokeHere(...rows: NewRevocation[]): Promise<void> {
  await revoke(issuer.database, ...rows);
  await issuer.app.refresh();
}

const read = (since?: string, headers: Record<string, string> = {}): Promise<Answer> =>
  get(issuer, `/revocations${since === undefined ? '' : `?since=${since}`}`, headers);

const jti = (name: string) => revocationOf('jti', name);
const entryOf = (name: string) => [jti(name).digest, 4_000_000_000];

test('the document is that of the page', async (t) => {
  const empty = await read();
  t.same(empty.json, { issuer: issuer.issuer, id: empty.json.id, entries: [] });
  await revokeHere(jti('one'), revocationOf('sub', 'ada', { epochBelow: 2, expiresAt: 3_000_000_000 }));
  const { status, headers, json } = await read();
  t.equal(status, 200);
  t.same(Object.keys(json), ['issuer', 'id', 'entries']);
  t.equal(json.issuer, issuer.issuer);
  t.match(json.id, /^[0-9a-f]{16}-\d{1,15}$/);
  t.same(json.entries, [entryOf('one'), [revocationOf('sub', 'ada').digest, 3_000_000_000, 2]]);
  t.match(headers, {
    'content-type': /^application\/json\b/,
    'cache-control': 'public, max-age=1',
    etag: /^W\/"[!#-~]+"$/,
    vary: 'Accept-Encoding',
    'access-control-allow-origin': '*',
    'access-control-expose-headers': /\bRevocations-As-Of\b/,
    'revocations-as-of': /^\d{10}\.\d{3}$/,
  });
  const age = Date.parse(String(headers.date)) / 1000 - Number(headers['revocations-as-of']);
  t.ok(age > 0 && age < 5, `${age} s, and never less than it is`);
});

test('who has it already gets 304, which says too how old it is', async (t) => {
  const before = await read();
  const etag = String(before.headers.etag);
  await issuer.app.refresh();
  for (const known of [etag, etag.slice(2), `"x", ${etag}`, '*']) {
    const again = await read(undefined, { 'if-none-match': known });
    t.same([again.status, again.text], [304, ''], known);
    t.equal(again.headers.etag, etag);
    t.ok(Number(again.headers['revocations-as-of']) > Number(before.headers['revocations-as-of']), known);
    t.match(again.headers, {
      'access-control-allow-origin': '*',
      'access-control-expose-headers': /Revocations-As-Of/,
    });
  }
  await revokeHere(jti('two'));
  const after = await read(undefined, { 'if-none-match': etag });
  t.equal(after.status, 200);
  t.equal(after.json.entries.length, before.json.entries.length + 1);
  t.not(after.headers.etag, etag);
});

test('since a position comes what is after it, and everything where that says nothing here', async (t) => {
  const { id, entries } = (await read()).json;
  t.same((await read(id)).json, { issuer: issuer.issuer, id, entries: [] });
  await revokeHere(jti('three'));
  await revokeHere(jti('four'), jti('five'));
  const delta = (await read(id)).json;
  t.same(delta.entries, ['three', 'four', 'five'].map(entryOf));
  const all = [...entries, ...delta.entries];
  const [feed, n] = delta.id.split('-');
  t.same((await read(`${feed}-${Number(n) - 1}`)).json.entries, [entryOf('five')]);
  const elsewhere = [`${'0'.repeat(16)}-${n}`, `${feed}-${Number(n) + 1}`, `${feed}-999999999999999`, `${feed}-0`, ''];
  for (const since of elsewhere) t.same((await read(since)).json, { ...delta, entries: all }, since);
  const etags = [await read(), await read(id), await read(delta.id)].map(({ headers }) => headers.etag);
  t.equal(new Set(etags).size, 3, 'each has a tag of its own');
});

test('what is no position is refused', async (t) => {
  const { id } = (await read()).json;
  const wrong = [
    'x',
    '42',
    id.toUpperCase().replace(/^\d*$/, 'X'),
    `${id}.0`,
    `${id}e0`,
    `+${id}`,
    ` ${id}`,
    `${id}%0a`,
    `${id}%00`,
    id.replace('-', '--'),
    id.replace('-', '-0'),
    `${id.slice(0, 16)}-${'9'.repeat(16)}`,
    `${id}&since=${id}`,
    '%ff',
  ];
  for (const since of wrong.filter((since) => since !== id)) {
    const { status, json, headers } = await read(since);
    t.same([status, json?.error, headers['cache-control']], [400, 'invalid_request', 'no-store'], since);
  }
  t.equal((await get(issuer, `/revocations?other=1&since=${id}`)).status, 200, 'unknown parameters are ignored');
});

/** The codings in which an answer came, and what it says decoded. */
async function coded(acceptEncoding: string, path = '/revocations') {
  const headers = { 'accept-encoding': acceptEncoding };
  const { headers: answered, rawPayload } = await issuer.app.server.inject({ url: path, headers });
  const coding = String(answered['content-encoding']);
  const decode = { br: brotliDecompressSync, gzip: gunzipSync }[coding] ?? ((bytes: Buffer) => bytes);
  return { coding, etag: answered.etag, size: rawPayload.length, json: JSON.parse(decode(rawPayload).toString()) };
}

test('a large document is compressed, once, as the reader takes it', async (t) => {
  t.equal((await coded('gzip, br')).coding, 'undefined', 'a small one is not');
  const { id } = (await read()).json;
  await revokeHere(...Array.from({ length: 2_000 }, (_, index) => jti(`many ${index}`)));
  const plain = await coded('');
  const expected: [string, string][] = [
    ['gzip', 'gzip'],
    ['br', 'br'],
    ['gzip, deflate, br, zstd', 'br'],
    ['GZIP', 'gzip'],
    ['br;q=0, gzip;q=0.5', 'gzip'],
    ['*', 'br'],
    ['*;q=0, gzip', 'gzip'],
    ['br;q=0, gzip;q=0.0', 'undefined'],
    ['identity', 'undefined'],
    ['deflate, zstd', 'undefined'],
    ['br;q=x', 'undefined'],
    ['brotli', 'undefined'],
  ];
  const compressions = countCompressions(t);
  for (const [accepts, coding] of expected) {
    const answer = await coded(accepts);
    t.equal(answer.coding, coding, accepts);
    t.same(answer.json, plain.json, accepts);
    t.equal(answer.etag, plain.etag, accepts);
    if (coding !== 'undefined') t.ok(answer.size < plain.size * 0.65, `${answer.size} of ${plain.size}`);
  }
  for (const accepts of ['br', '']) {
    const asked = { url: '/revocations', headers: { 'accept-encoding': accepts } };
    const [{ headers }, head] = [
      await issuer.app.server.inject(asked),
      await issuer.app.server.inject({ ...asked, method: 'HEAD' }),
    ];
    t.same([head.statusCode, head.payload], [200, '']);
    for (const name of ['content-length', 'content-encoding', 'etag', 'revocations-as-of'])
      t.equal(head.headers[name], headers[name], name);
  }
  await Promise.all(Array.from({ length: 20 }, () => coded('br')));
  t.same(compressions(), { brotliCompress: 1, gzip: 1 });
  t.equal((await coded('br', `/revocations?since=${id}`)).json.entries.length, 2_000);
  const since = (back: number) => id.replace(/\d+$/, (n: string) => String(Number(n) - back));
  for (const back of [1, 2, 3, 4, 5, 6])
    t.equal((await coded('br', `/revocations?since=${since(back)}`)).json.entries.length, 2_000 + back);
  t.ok((compressions().brotliCompress ?? 0) <= 4, 'who asks for ever other deltas makes no work');
});

test('the whole, where it is large, is made once a second at most, and what came since is there at once', async (t) => {
  const compressions = countCompressions(t);
  const began = performance.now();
  for (let round = 0; round < 8; round += 1) {
    await revokeHere(jti(`round ${round}`));
    const { headers, rawPayload } = await issuer.app.server.inject({
      url: '/revocations',
      headers: { 'accept-encoding': 'br' },
    });
    const whole = JSON.parse(brotliDecompressSync(rawPayload).toString());
    const delta = await read(whole.id);
    t.same([...whole.entries, ...delta.json.entries].at(-1), entryOf(`round ${round}`));
    const [before, now] = [headers, delta.headers].map((said) => Number(said['revocations-as-of']));
    const behind = delta.json.entries.length > 0;
    // A reading of its own may come between the two.
    t.ok(behind ? Number(before) < Number(now) : Number(before) <= Number(now), 'and says how old it is');
  }
  const took = performance.now() - began;
  t.ok((compressions().brotliCompress ?? 0) <= 1 + took / 1_000, `${took} ms`);
  t.ok(took < 8_000, 'or this shows nothing');
});

test('reading it asks the database nothing', async (t) => {
  const { id } = (await read()).json;
  const before = issuer.statements.length;
  for (let times = 0; times < 25; times += 1) await Promise.all([read(), read(id), coded('br'), coded('gzip')]);
  t.same(
    issuer.statements.slice(before).filter((statement) => !background.test(statement)),
    [],
  );
});

/** A feed by itself, which has read this. */
function feedOf(ids: readonly number[], { expiresAt = 1_000, incarnation = 'f'.repeat(16), now = 0 } = {}): Feed {
  const feed = createFeed();
  const revocations = ids.map((id): Revocation => ({ ...jti(String(id)), id, expiresAt }));
  feed.take({ incarnation, everything: true, revocations, asOf: 1 }, now);
  return feed;
}

const digests = (json: Buffer) => JSON.parse(`[${json}]`).map(([digest]: [string]) => digest);
const named = (...ids: number[]) => ids.map((id) => jti(String(id)).digest);

test('entries leave when they are over, and the position stays', async (t) => {
  const feed = feedOf([3, 5]);
  const taken: string[][] = [];
  feed.onEntries(({ json }) => taken.push(digests(json)));
  const later = [8, 13].map((id): Revocation => ({ ...jti(String(id)), id, expiresAt: id * 1_000 }));
  feed.take({ incarnation: 'f'.repeat(16), everything: false, revocations: later, asOf: 2 }, 0);
  t.same(taken, [named(8, 13)]);
  const version = feed.version();
  feed.forget(999);
  t.equal(feed.version(), version, 'nothing is over');
  feed.forget(1_000);
  t.not(feed.version(), version);
  t.same(digests(feed.after(undefined).json), named(8, 13));
  t.same(digests(feed.after(`${'f'.repeat(16)}-4`).json), named(8, 13), 'a position between two is one');
  feed.forget(13_000);
  t.match(feed.after(undefined), { count: 0 });
  t.equal(feed.position(), `${'f'.repeat(16)}-13`);
  t.equal(taken.length, 1, 'of which nobody is told');
  const over: Revocation = { ...jti('over'), id: 21, expiresAt: 500 };
  feed.take({ incarnation: 'f'.repeat(16), everything: false, revocations: [over], asOf: 3 }, 13_000);
  t.same([feed.after(undefined).count, feed.position()], [0, `${'f'.repeat(16)}-21`], 'it counts, and is not said');
});

test('a reading of everything brings its readers what is new in it, under whatever name', async (t) => {
  const feed = feedOf([1, 2, 3]);
  const taken: string[][] = [];
  feed.onEntries(({ json }) => taken.push([feed.position(), ...digests(json)]));
  const reading = (incarnation: string, ...ids: number[]) => ({
    incarnation: incarnation.repeat(16),
    everything: true,
    revocations: ids.map((id): Revocation => ({ ...jti(String(id)), id, expiresAt: 1_000 })),
    asOf: 2,
  });
  feed.take(reading('f', 1, 2, 3), 0);
  t.same(taken, [], 'the same again is no news');
  const version = feed.version();
  feed.take(reading('f', 2, 3), 0);
  t.same(taken, [], 'nor is that something is gone');
  t.not(feed.version(), version, 'but that is another document');
  feed.take(reading('e', 2, 3), 0);
  t.same(taken.pop(), [`${'e'.repeat(16)}-3`], 'the name alone');
  feed.take(reading('d', 2, 9), 0);
  t.same(taken.pop(), [`${'d'.repeat(16)}-9`, ...named(9)]);
  t.same(digests(feed.after(`${'e'.repeat(16)}-9`).json), named(2, 9), 'an old position says nothing here');
  t.same(digests(feed.after(`${'d'.repeat(16)}-2`).json), named(9));
  feed.take(reading('d'), 0);
  t.same(taken.pop(), [`${'d'.repeat(16)}-0`]);
  t.equal(feed.asOf(), 2);
  feed.take({ ...reading('d'), everything: false, asOf: undefined }, 0);
  t.equal(feed.asOf(), 2, 'a part of a reading makes nothing younger');
});

test('what a reader holds does not change under it', async (t) => {
  const feed = feedOf([1, 2, 3]);
  const held = feed.after(undefined).json;
  const text = held.toString();
  const later = Array.from({ length: 10_000 }, (_, at): Revocation => ({ ...jti('x'), id: 10 + at, expiresAt: 9_000 }));
  feed.take({ incarnation: 'f'.repeat(16), everything: false, revocations: later, asOf: 2 }, 0);
  feed.forget(1_000);
  feed.take({ incarnation: 'e'.repeat(16), everything: true, revocations: later, asOf: 2 }, 0);
  t.equal(held.toString(), text);
});

test('100,000 entries are 3 MB compressed at most', async (t) => {
  const random = () => randomBytes(16).toString('base64url');
  const revocations = Array.from({ length: 100_000 }, (_, id): Revocation => {
    return { id, digest: random(), epochBelow: null, expiresAt: 1_800_000_000 + Math.floor(id / 100) };
  });
  const feed = createFeed();
  feed.take({ incarnation: 'f'.repeat(16), everything: true, revocations, asOf: 1 }, 0);
  const { json } = feed.after(undefined);
  for (const coding of ['br', 'gzip'] as const) {
    const { length } = await compress(json, coding);
    t.ok(length < 2_200_000, `${coding}: ${length} of ${json.length}`);
  }
});

function countCompressions(t: { teardown(undo: () => void): void }): () => Record<string, number> {
  const calls: Record<string, number> = {};
  for (const name of ['gzip', 'brotliCompress'] as const) {
    const original = zlib[name];
    const counting = (...args: unknown[]) => {
      calls[name] = (calls[name] ?? 0) + 1;
      return (original as (...args: unknown[]) => unknown)(...args);
    };
    Object.assign(zlib, { [name]: counting });
    t.teardown(() => {
      Object.assign(zlib, { [name]: original });
      syncBuiltinESMExports();
    });
  }
  syncBuiltinESMExports();
  return () => calls;
}
