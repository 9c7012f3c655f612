import { test } from 'tap';
import { plan, publishedAt, rotationStep, scheduleOf } from '../src/keys/lifecycle.ts';
import {
  alg,
  due,
  key,
  kids,
  perform,
  publishedKids,
  schedule,
  signerKid,
  start,
  withoutReason,
} from './support/signing-keys.ts';

const { lead, skew, keepPublished, signFor } = schedule;

test('where tokens live long, keys sign long enough for four to be published at most', async (t) => {
  const long = scheduleOf({ signFor: 100, jwksMaxAge: 10, longestTokenTtl: 86_400, longestGrant: 0 });
  t.equal(long.keepPublished, 86_416);
  t.equal(long.signFor, 43_211);
  t.equal(scheduleOf({ signFor: 90_000, jwksMaxAge: 10, longestTokenTtl: 86_400, longestGrant: 0 }).signFor, 90_000);
});

test('a hand that hurries waits for room in the JWKS', async (t) => {
  let rows = [key('a', start - 1000), key('b', start + signFor)];
  let now = start;
  for (const name of ['c', 'd']) {
    const step = rotationStep(rows, now, schedule, true);
    t.equal(step?.act, 'promote', 'at once');
    rows = perform(rows, step === undefined ? [] : [step], now, '');
    now += 10;
    rows = perform(rows, plan(alg, rows, now, schedule), now, name);
  }
  t.equal(publishedKids(rows, now), 'a b c d');
  const third = rotationStep(rows, now, schedule, true);
  const room = start - skew + keepPublished + skew;
  t.match(third, { act: 'promote', kid: 'd', signsFrom: room });
  rows = perform(rows, third === undefined ? [] : [third], now, '');
  t.equal(signerKid(rows, room - 1), 'c');
  t.equal(publishedKids(rows, room - 1), 'b c d', 'by then the oldest is out');
  t.equal(signerKid(rows, room), 'd');
});

test('tokens that live longer than before bring no old keys back', async (t) => {
  const rows = ['a', 'b', 'c', 'd', 'e'].map((kid, place) => key(kid, start + (place - 4) * 2000));
  const longer = { ...schedule, keepPublished: 86_416, signFor: 43_211 };
  t.equal(publishedKids(rows, start), 'd e');
  t.equal(kids(publishedAt(rows, start, longer)), 'c d e');
  const [made] = plan(alg, rows, start, longer);
  t.match(
    made,
    { act: 'create', signsFrom: start - 2000 + 86_416 + skew },
    'the next waits for the room that they take',
  );
});

test('where caches live longer than when the standby was made, it starts later; never when it is about to', async (t) => {
  const standby = key('b', start + 700, { createdAt: start });
  const rows = [key('a', start - signFor), standby];
  t.same(due(rows, start), []);
  const longer = { ...schedule, lead: 2 * lead };
  const [step] = plan(alg, rows, start, longer).filter(({ act }) => act === 'postpone');
  t.same(step && withoutReason(step), { act: 'postpone', kid: 'b', signsFrom: start + 2 * lead });
  t.same(plan(alg, perform(rows, step ? [step] : [], start, ''), start, longer), [], 'once');
  t.same(
    plan(alg, rows, start + 700 - skew - 1, longer).filter(({ act }) => act === 'postpone'),
    [],
    'somebody may have seen it start',
  );
});

test('the first key of an algorithm that was added waits, and is followed by a standby', async (t) => {
  const first = key('a', start + lead, { createdAt: start });
  t.same(due([first], start), []);
  t.same(due([first], start + lead - 1), []);
  t.equal(publishedKids([first], start), 'a');
  const after = plan(alg, [first], start + lead, schedule);
  t.match(after, [{ act: 'create', signsFrom: start + lead + signFor }]);
  t.match(
    due([{ ...first, revokedAt: start + 1 }], start + 1),
    [{ act: 'create', signsFrom: start + 1 - skew }, { act: 'create' }, { act: 'erase', kid: 'a' }],
    'one that is revoked first is replaced',
  );
});

test('a key whose private half was given up stays published while another takes its place at once', async (t) => {
  const rows = [key('a', start - 1000, { sealedPrivateJwk: null })];
  const after = perform(rows, plan(alg, rows, start, schedule), start, 'b c');
  t.equal(signerKid(after, start), 'b');
  t.equal(kids(after), 'a b c');
  t.equal(publishedKids(after, start), 'a b c');
  const spare = [key('a', start - 1000, { sealedPrivateJwk: null }), key('b', start + 500)];
  t.equal(
    signerKid(perform(spare, plan(alg, spare, start, schedule), start, 'c'), start),
    'b',
    'the standby, where there is one',
  );
});
