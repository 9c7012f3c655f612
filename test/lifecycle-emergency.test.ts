import { test } from 'tap';
import { phaseOf, plan, standbyOf } from '../src/keys/lifecycle.ts';
import {
  alg,
  due,
  key,
  publishedKids,
  revoke,
  schedule,
  signerKid,
  start,
  withoutReason,
} from './support/signing-keys.ts';

const { lead, signFor, skew } = schedule;

test('when the signer is revoked the standby signs at once, by every clock, and there is a new one', async (t) => {
  const rows = revoke([key('one', start - 100), key('two', start + signFor)], 'one', start, 'three');
  for (const now of [start - skew, start, start + skew]) t.equal(signerKid(rows, now), 'two');
  t.equal(standbyOf(rows, start)?.kid, 'three');
  t.equal(standbyOf(rows, start)?.signsFrom, start - skew + signFor);
  t.equal(publishedKids(rows, start), 'two three');
});

test('a standby that is made in an emergency starts only when it has been published for lead', async (t) => {
  const short = { ...schedule, signFor: lead };
  const rows = [key('one', start - 100, { revokedAt: start }), key('two', start + lead)];
  t.same(plan(alg, rows, start, short).map(withoutReason), [
    { act: 'promote', kid: 'two', signsFrom: start - skew },
    { act: 'create', alg, signsFrom: start + lead },
    { act: 'erase', kid: 'one' },
  ]);
});

test('when signer and standby are both revoked a new key signs at once', async (t) => {
  const revokedAt = start;
  const rows = [key('one', start - 100, { revokedAt }), key('two', start + signFor, { revokedAt })];
  t.same(due(rows, start).slice(0, 2), [
    { act: 'create', alg, signsFrom: start - skew },
    { act: 'create', alg, signsFrom: start - skew + signFor },
  ]);
});

test('the signer may be revoked again and again within one second', async (t) => {
  let rows = [key('k0', start - 100), key('k1', start + signFor)];
  for (let n = 0; n < 9; n += 1) {
    t.equal(signerKid(rows, start), `k${n}`);
    rows = revoke(rows, `k${n}`, start, `k${n + 2}`);
    t.equal(publishedKids(rows, start), `k${n + 1} k${n + 2}`);
  }
});

test('revoking the standby leaves no moment without a signer', async (t) => {
  const rows = revoke([key('one', start - 100), key('two', start + 50)], 'two', start, 'three');
  const next = standbyOf(rows, start)?.signsFrom ?? 0;
  t.equal(next, start - 100 + signFor);
  for (const now of [start, start + 49, start + 50, start + 51, next - 1]) t.equal(signerKid(rows, now), 'one');
  t.equal(signerKid(rows, next), 'three');
});

test('a standby that is revoked in the second in which it starts hands back to the key before it', async (t) => {
  const rows = revoke([key('one', start - signFor), key('two', start)], 'two', start, 'three');
  t.equal(signerKid(rows, start), 'one');
  t.equal(rows.find(({ kid }) => kid === 'one')?.sealedPrivateJwk, 'sealed');
  t.equal(publishedKids(rows, start), 'one three');
});

test('a key promoted by a slow clock comes after the one that a fast clock has seen start and revoked', async (t) => {
  const fast = start + 1;
  const slow = fast - skew;
  const revokedByFast = [key('one', start - 100), key('two', start, { revokedAt: fast }), key('three', start + 1)];
  const rows = revoke(revokedByFast, 'one', slow, 'four');
  t.equal(signerKid(rows, fast), 'three');
  t.same(due(rows, slow), []);
});

test('a revoked key is neither published nor signs, by whatever clock', async (t) => {
  const revoked = key('two', start, { revokedAt: start + 10 });
  const rows = [key('one', start - 100), revoked, key('three', start + 11)];
  for (const now of [start - 1, start, start + 9, start + 10, start + 11]) {
    t.equal(phaseOf(revoked, rows, now, schedule), 'revoked');
    t.notMatch(publishedKids(rows, now), 'two');
    t.not(signerKid(rows, now), 'two');
  }
});
