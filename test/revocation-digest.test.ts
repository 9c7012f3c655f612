import { createHash } from 'node:crypto';
import { revocationDigest } from '@keyturn/verifier';
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
