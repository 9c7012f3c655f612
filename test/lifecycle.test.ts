import { test } from 'tap';
import {
  nextPhaseChange,
  phaseOf,
  plan,
  publishedAt,
  rotationStep,
  scheduleOf,
  standbyOf,
  stopsSigningAt,
} from '../src/keys/lifecycle.ts';
import type { NumericDate } from '../src/protocol/time.ts';
import {
  alg,
  due,
  key,
  kids,
  perform,
  publishedKids,
  revoke,
  schedule,
  signerKid,
  start,
  tokenTtl,
} from './support/signing-keys.ts';

const { keepPublished, keepRow, lead, poll, signFor, skew } = schedule;

test('the schedule follows from what an operator sets', async (t) => {
  const times = { signFor: 2_592_000, jwksMaxAge: 600, longestTokenTtl: 3600, longestGrant: 86_400 };
  t.same(scheduleOf(times), {
    signFor: 2_592_000,
    lead: 600 + 600 + 1 + 5,
    keepPublished: 3600 + 1 + 3 * 5,
    keepRow: 86_400 + 3600 + 1 + 3 * 5,
    skew: 5,
    poll: 1,
  });
});

test('the first start makes a signer that every clock sees started, and a standby', async (t) => {
  t.same(due([], start), [
    { act: 'create', alg, signsFrom: start - skew },
    { act: 'create', alg, signsFrom: start - skew + signFor },
  ]);
  const rows = perform([], plan(alg, [], start, schedule), start, 'one two');
  t.equal(signerKid(rows, start - skew), 'one');
  t.equal(publishedKids(rows, start), 'one two');
});

test('planning again after doing what is due yields nothing new', async (t) => {
  const revokedSigner = [key('one', start - 20, { revokedAt: start }), key('two', start + signFor)];
  const overdue = [key('one', start - 3 * signFor), key('two', start - 2 * signFor)];
  for (const rows of [[], revokedSigner, overdue]) {
    t.not(due(rows, start).length, 0);
    t.same(due(perform(rows, plan(alg, rows, start, schedule), start, 'three four'), start), []);
  }
});

test('as soon as the standby signs, the next one is made and published', async (t) => {
  const rows = [key('one', start - signFor), key('two', start)];
  t.same(due(rows, start - 1), []);
  t.same(due(rows, start), [{ act: 'create', alg, signsFrom: start + signFor }]);
  const [step] = plan(alg, rows, start, schedule);
  t.equal(publishedKids(perform(rows, step ? [step] : [], start, 'three'), start), 'one two three');
});

test('after an outage of the rotator the signer goes on until its successor has been published for lead', async (t) => {
  const rows = [key('one', start - 3 * signFor)];
  t.equal(signerKid(rows, start), 'one');
  t.same(due(rows, start), [{ act: 'create', alg, signsFrom: start + lead }]);
  const after = perform(rows, plan(alg, rows, start, schedule), start, 'two');
  t.equal(signerKid(after, start + lead - 1), 'one');
  t.equal(signerKid(after, start + lead), 'two');
});

test('a key is published from when it is made until its last token has expired', async (t) => {
  const one = key('one', start);
  const rows = [one, key('two', start + signFor), key('three', start + 2 * signFor)];
  const phases = [start - 1, start, start + signFor - 1, start + signFor, start + signFor + keepPublished - 1];
  t.same(
    phases.map((now) => phaseOf(one, rows, now, schedule)),
    ['standby', 'signing', 'signing', 'retired', 'retired'],
  );
  for (const now of phases) t.match(publishedKids(rows, now), /^one/);
  t.equal(phaseOf(one, rows, start + signFor + keepPublished, schedule), 'withdrawn');
  t.equal(publishedKids(rows, start + signFor + keepPublished), 'two three');
});

test('a key is published while any clock takes its last token for alive, whichever clock hurried it away', async (t) => {
  const rows = [key('one', start - 20), key('two', start + signFor)];
  const slow = start;
  const fast = start + skew;
  const steps = [rotationStep(rows, slow, schedule, true)].filter((step) => step !== undefined);
  const rotated = perform(rows, steps, slow, '');
  // An instance that learns of it as late as may be dates a last token, which the slow clock then takes for alive.
  const lastExpiry = fast + poll - 1 + tokenTtl;
  const slowThinksSo = lastExpiry - 1;
  t.match(publishedKids(rotated, slowThinksSo + skew), /^one/);
});

test('a key never signs again once a newer one has started, even if that is revoked', async (t) => {
  const rows = [key('one', start - 100), key('two', start, { revokedAt: start + 10 })];
  t.equal(signerKid(rows, start - 1), 'one');
  t.equal(signerKid(rows, start), undefined);
  t.equal(signerKid(rows, start + 1_000_000), undefined);
});

test('the order of rows makes no difference, and of keys with one start exactly one signs', async (t) => {
  const rows = [key('b', start), key('a', start), key('c', start + signFor)];
  for (const order of [rows, [...rows].reverse()]) {
    t.equal(signerKid(order, start), 'b');
    t.equal(standbyOf(order, start)?.kid, 'c');
    t.equal(publishedKids(order, start), 'a b c');
    t.same(
      rows.map((row) => phaseOf(row, order, start, schedule)),
      ['signing', 'retired', 'standby'],
    );
    t.same(
      rows.map((row) => stopsSigningAt(row, order)),
      [start + signFor, start, null],
    );
  }
});

test('a rotation by hand starts the standby once it has been published for lead', async (t) => {
  const rows = [key('one', start - 10), key('two', start + signFor, { createdAt: start })];
  const signsFrom = (now: NumericDate) => {
    const step = rotationStep(rows, now, schedule, false);
    return step?.act === 'promote' && step.kid === 'two' ? step.signsFrom : step;
  };
  t.equal(signsFrom(start), start + lead);
  t.equal(signsFrom(start + lead - 1), start + lead);
  t.equal(signsFrom(start + lead + 1), start + lead + 1);
  t.equal(signsFrom(start + signFor - 1), start + signFor - 1);
});

test('a rotation by hand never delays a standby, and does nothing without one', async (t) => {
  const soon = [key('one', start - 10), key('two', start + lead, { createdAt: start })];
  t.equal(rotationStep(soon, start, schedule, false), undefined);
  for (const immediately of [false, true]) {
    t.equal(rotationStep([key('one', start - 10)], start, schedule, immediately), undefined);
    t.equal(rotationStep([], start, schedule, immediately), undefined);
  }
});

test('an immediate rotation starts the standby by every clock, one skew back', async (t) => {
  const rows = [key('one', start - 10), key('two', start + signFor)];
  t.match(rotationStep(rows, start, schedule, true), { act: 'promote', kid: 'two', signsFrom: start - skew });
});

test('an immediate rotation starts the standby after the signer, however lately that has started', async (t) => {
  const rows = [key('one', start), key('two', start + signFor)];
  t.match(rotationStep(rows, start, schedule, true), { signsFrom: start + 1 });
  t.match(rotationStep(rows, start + 3, schedule, true), { signsFrom: start + 1 });
});

test('a private half is erased when no clock and no late view lets the key sign, a revoked one at once', async (t) => {
  const rows = [key('one', start - signFor), key('two', start), key('three', start + signFor)];
  t.same(due(rows, start + poll + skew - 1), []);
  t.same(due(rows, start + poll + skew), [{ act: 'erase', kid: 'one' }]);
  t.same(due(revoke(rows, '', start + poll + skew, ''), start + poll + skew), []);
  const revoked = [key('two', start), key('three', start + signFor, { revokedAt: start + 1 })];
  t.match(due(revoked, start + 1), [{ act: 'create' }, { act: 'erase', kid: 'three' }]);
});

test('the keys that sign or are to sign are never erased nor forgotten, however long nobody plans', async (t) => {
  const rows = [key('one', start - signFor), key('two', start)];
  const steps = due(rows, start + 100 * keepRow);
  t.same(steps, [
    { act: 'create', alg, signsFrom: start + 100 * keepRow + lead },
    { act: 'forget', kid: 'one' },
  ]);
});

test('a row is forgotten when nothing that the key signed can be alive', async (t) => {
  const erased = { sealedPrivateJwk: null };
  const rows = [
    key('one', start - signFor, erased),
    key('two', start - 5, { ...erased, revokedAt: start }),
    key('three', start),
    key('never', start + signFor, { ...erased, revokedAt: start }),
    key('four', start + 10 * keepRow),
  ];
  t.same(due(rows, start - 5 + keepRow - 1), []);
  t.same(due(rows, start - 5 + keepRow), [{ act: 'forget', kid: 'one' }]);
  const forgotten = [
    { act: 'forget', kid: 'one' },
    { act: 'forget', kid: 'two' },
    { act: 'forget', kid: 'never' },
  ];
  t.same(due(rows, start + keepRow), forgotten);
});

test('between one phase change and the next nobody else signs and nothing else is published', async (t) => {
  const brief = { ...schedule, keepPublished: 7 };
  const rows = [
    key('one', start),
    key('two', start + 10, { revokedAt: start + 14 }),
    key('tie', start + 12),
    key('three', start + 12),
    key('never', start + 20, { revokedAt: start + 3 }),
    key('four', start + 40),
  ];
  const answers = (now: NumericDate) => `${signerKid(rows, now)} of ${kids(publishedAt(rows, now, brief))}`;
  const seen = [answers(start - 5)];
  for (let now = start - 5; now < start + 60; now += 1) {
    const next = nextPhaseChange(rows, now, brief);
    t.ok(next > now);
    if (next > now + 1) t.equal(answers(now + 1), answers(now), `${now - start + 1} s after the start`);
    if (answers(now) !== seen.at(-1)) seen.push(answers(now));
  }
  t.same(seen, [
    'undefined of one three tie four',
    'one of one three tie four',
    'undefined of one three tie four',
    'tie of one three tie four',
    'tie of three tie four',
    'tie of tie four',
    'four of tie four',
    'four of four',
  ]);
  t.equal(nextPhaseChange(rows, start + 47, brief), Number.POSITIVE_INFINITY);
  t.equal(nextPhaseChange([], start, brief), Number.POSITIVE_INFINITY);
});
