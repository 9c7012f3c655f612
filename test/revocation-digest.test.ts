import { createHash } from 'node:crypto';
import { createDenylist, revocationDigest } from '@keyturn/verifier';
import fc from 'fast-check';
import { test } from 'tap';

const kinds = ['jti', 'grant', 'sub', 'client', 'kid'] as const;

test('a digest is the first 16 bytes of SHA-256(kind ‖ 0 ‖ name), base64url', async (t) => {
  const same = fc.property(fc.constantFrom(...kinds), fc.string({ unit: 'grapheme', maxLength: 300 }), (kind, name) => {
    const digest = createHash('sha256').update(`${kind}\0${name}`).digest().subarray(0, 16).toString('base64url');
    return revocationDigest(kind, name) === digest;
  });
  t.doesNotThrow(() => fc.assert(same, { numRuns: 500, seed: 7 }));
});

test('a denylist finds what is in it and nothing else, whatever the names, until it is let go', async (t) => {
  const names = fc.uniqueArray(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }), { minLength: 6 });
  const holds = fc.property(names, (all) => {
    const denylist = createDenylist();
    const claims = (kind: number, name: string) => ({
      jti: kind === 0 ? name : 'jti',
      gid: kind === 1 ? revocationDigest('grant', name) : undefined,
      sub: kind === 3 ? name : 'sub',
      client_id: kind === 4 ? name : 'client',
    });
    const isVoid = (kind: number, name: string) => denylist.isVoid(kind === 2 ? name : 'kid', claims(kind, name));
    const kindOf = ['jti', 'grant', 'kid', 'sub', 'client'] as const;
    const listed = all.filter((_, index) => index % 2 === 0);
    denylist.add(
      listed.map((name, index) => {
        const kind = index % 5;
        const digest = revocationDigest(kindOf[kind] ?? 'jti', name);
        return { digest, epochBelow: kind < 3 ? null : 1, expiresAt: 10 + (index % 2) * 10 };
      }),
    );
    const expected = (name: string, kind: number) => listed.includes(name) && listed.indexOf(name) % 5 === kind;
    const right = () => all.every((name) => kindOf.every((_, kind) => isVoid(kind, name) === expected(name, kind)));
    const before = right();
    denylist.forget(10);
    const after = listed.every((name, index) => isVoid(index % 5, name) === (index % 2 === 1));
    return before && after && denylist.size === Math.floor(listed.length / 2);
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 100, seed: 11 }));
});
