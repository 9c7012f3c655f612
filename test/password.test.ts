import { stat } from 'node:fs/promises';
import fc from 'fast-check';
import { test } from 'tap';
import { createPasswords, hashingLimits } from '../src/crypto/password.ts';
import { checkNewPassword } from '../src/crypto/password-rules.ts';
import { createQueue, type QueueLimits } from '../src/crypto/queue.ts';
import { ProtocolError } from '../src/protocol/error.ts';

const passwords = createPasswords(hashingLimits(2));

test("a hash has OWASP's parameters and a salt of its own", async (t) => {
  const [one, other] = [await passwords.hash('correct horse'), await passwords.hash('correct horse')];
  t.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/);
  t.not(one, other);
});

test('only the password itself is right', async (t) => {
  const kept = await passwords.hash('Correct horse 1');
  t.equal(await passwords.verify('Correct horse 1', kept), true);
  for (const wrong of ['correct horse 1', 'Correct horse 1 ', 'Correct horse', '', 'Correct horse 1\0', '\ud800']) {
    t.equal(await passwords.verify(wrong, kept), false, JSON.stringify(wrong));
  }
});

test('one password in two spellings of Unicode is the same', async (t) => {
  const kept = await passwords.hash('crème ﬁn ２');
  t.equal(await passwords.verify('crème fin 2', kept), true);
  t.equal(await passwords.verify('creme fin 2', kept), false);
});

test('without a hash no password is right', async (t) => {
  t.equal(await passwords.verify('correct horse', undefined), false);
  t.equal(await passwords.verify('', undefined), false);
});

test('a text longer than any password is refused without any work', async (t) => {
  const full = createPasswords({ concurrency: 0, waiting: 0, patience: 1 });
  t.equal(await full.verify('x'.repeat(65_536), undefined), false);
  await t.rejects(full.verify('x'.repeat(128), undefined), { code: 'temporarily_unavailable' });
});

test('the longest password in its longest spelling is no other one', async (t) => {
  const longest = 'ΐx'.repeat(64); // of 256 code points when decomposed
  t.equal(await checkNewPassword(longest, ada), undefined);
  const kept = await passwords.hash(longest);
  t.equal(await passwords.verify(longest.normalize('NFD'), kept), true);
  t.equal(await passwords.verify(longest.slice(1), kept), false, 'nothing is cut off');
});

test('a hash of other parameters, by another implementation, still verifies and is to be renewed', async (t) => {
  // By the reference implementation in C.
  const kept = '$argon2id$v=19$m=64,t=3,p=2$c29tZXNhbHRzb21lc2FsdA$JihI5cU0dA9i7vaff50sicUfQvt0Ynt/Aa7xY0wdEGo';
  t.equal(await passwords.verify('correct horse', kept), true);
  t.equal(await passwords.verify('correct horse!', kept), false);
  t.equal(passwords.needsRehash(kept), true);
  t.equal(passwords.needsRehash((await passwords.hash('correct horse')).replace('argon2id', 'argon2i')), true);
  t.equal(passwords.needsRehash(await passwords.hash('correct horse')), false);
});

/** Work that goes on until it is told to end. */
function work(order: string[], name: string) {
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  return {
    end,
    run: async () => {
      order.push(name);
      await ended;
      return name;
    },
  };
}

const limits = (values: Partial<QueueLimits>): QueueLimits => ({
  concurrency: 1,
  waiting: 10,
  patience: 60,
  ...values,
});

test('work is done in the order it came, so much at a time as is allowed', async (t) => {
  const queue = createQueue(limits({ concurrency: 2 }));
  const order: string[] = [];
  const works = ['a', 'b', 'c', 'd'].map((name) => work(order, name));
  const results = works.map(({ run }) => queue(run));
  await Promise.resolve();
  t.same(order, ['a', 'b']);
  works[1]?.end();
  t.equal(await results[1], 'b');
  await Promise.resolve();
  t.same(order, ['a', 'b', 'c'], 'one ends, one begins');
  for (const { end } of works) end();
  t.same(await Promise.all(results), ['a', 'b', 'c', 'd']);
  t.same(order, ['a', 'b', 'c', 'd']);
});

test('who comes when the line is full is asked to come back', async (t) => {
  const queue = createQueue(limits({ waiting: 1, patience: 2.5 }));
  const order: string[] = [];
  const [running, waiting, refused] = ['running', 'waiting', 'refused'].map((name) => work(order, name));
  if (running === undefined || waiting === undefined || refused === undefined) throw new Error('unreachable');
  const first = queue(running.run);
  const second = queue(waiting.run);
  const error = await queue(refused.run).catch((reason: unknown) => reason);
  t.ok(error instanceof ProtocolError);
  t.match(error, { code: 'temporarily_unavailable', status: 503, retryAfter: 3 });
  running.end();
  waiting.end();
  await Promise.all([first, second]);
  t.same(order, ['running', 'waiting']);
  refused.end();
  t.equal(await queue(refused.run), 'refused', 'and finds room later');
});

test('who has waited too long is refused, never starts, and leaves no gap in the line', async (t) => {
  const queue = createQueue(limits({ waiting: 1, patience: 0.01 }));
  const order: string[] = [];
  const blocker = work(order, 'blocker');
  const late = work(order, 'late');
  const next = work(order, 'next');
  const first = queue(blocker.run);
  await t.rejects(queue(late.run), { code: 'temporarily_unavailable', retryAfter: 1 });
  const second = queue(next.run);
  blocker.end();
  next.end();
  await Promise.all([first, second]);
  t.same(order, ['blocker', 'next']);
});

test('work that fails makes room as any other', async (t) => {
  const queue = createQueue(limits({ waiting: 1 }));
  const failing = async () => {
    throw new Error('broken');
  };
  const results = await Promise.allSettled([queue(failing), queue(failing)]);
  t.same(
    results.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  t.equal(await queue(async () => 'fine'), 'fine');
});

test('a core and two threads of the pool are left to the rest', async (t) => {
  for (const [cores, threads, concurrency] of [
    [1, 4, 1],
    [2, 4, 1],
    [3, 4, 2],
    [16, 4, 2],
    [8, 16, 7],
    [8, 1, 1],
  ] as const) {
    t.equal(hashingLimits(cores, threads).concurrency, concurrency, `${cores} cores, ${threads} threads`);
  }
});

test('the file system does not wait behind a storm of sign-ins', async (t) => {
  const many = createPasswords({ ...hashingLimits(64), waiting: 100 });
  let verified = 0;
  const storm = Array.from({ length: 24 }, async () => {
    await many.verify('correct horse', undefined);
    verified += 1;
  });
  await stat('.');
  t.ok(verified < 8, `${verified} of ${storm.length} hashes came first`);
  await Promise.all(storm);
});

const ada = { email: 'ada.lovelace@engine.example', name: 'Ada King-Noel' };

const judged = [
  ['seven77', 'too_short'],
  ['🐎🐎🐎🐎', 'too_short'],
  ['a\u0301'.repeat(7), 'too_short'],
  ['', 'too_short'],
  ['x9'.repeat(64).concat('y'), 'too_long'],
  ['correct\nhorse', 'unprintable'],
  ['correct\0horse', 'unprintable'],
  ['correct \ud800 horse', 'unprintable'],
  ['password', 'common'],
  ['PassWord1', 'common'],
  ['Ｐａｓｓｗｏｒｄ', 'common'],
  ['Password1!', 'common'],
  ['Sunshine2024!', 'common'],
  ['1q2w3e4r', 'common'],
  ['aaaaaaaaaaaa', 'common'],
  ['abcdefghij', 'common'],
  ['9876543210', 'common'],
  ['ada.lovelace@engine.example', 'personal'],
  ['AdaLovelace', 'personal'],
  ['KingNoel1815', 'personal'],
  ['king-noel-ada', 'personal'],
  ['engine.example', 'personal'],
  ['k9#vQ2!x', undefined],
  ['correct horse battery staple', undefined],
  ['x9'.repeat(64), undefined],
  [' leading and trailing ', undefined],
  ['Lovelace wrote notes', undefined],
  ['кот-на-крыше', undefined],
  ['🐎🔋📎✅🐎🔋📎✅', undefined],
] as const;

test('what can be guessed cannot be chosen, and nothing else is asked of a password', async (t) => {
  for (const [password, fault] of judged) {
    t.equal(await checkNewPassword(password, ada), fault, JSON.stringify(password));
  }
});

test('whatever is given, there is an answer', async (t) => {
  const text = fc.string({ unit: 'binary', maxLength: 200 });
  const property = fc.asyncProperty(text, text, text, async (password, email, name) => {
    const fault = await checkNewPassword(password, { email, name });
    const length = [...password.normalize('NFKC')].length;
    return (fault === 'too_short') === length < 8 && (fault === 'too_long') === length > 128;
  });
  await t.resolves(fc.assert(property));
});
