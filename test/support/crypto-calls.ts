import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

type Watched = 'sign' | 'hash' | 'timingSafeEqual';

/** Notes the arguments of each call of a function of node:crypto, by whomever, until the test ends. */
export function watchCrypto(t: { teardown(undo: () => void): void }, name: Watched): unknown[][] {
  const calls: unknown[][] = [];
  const original = crypto[name] as (...args: unknown[]) => unknown;
  const replace = (value: unknown) => {
    Object.assign(crypto, { [name]: value });
    syncBuiltinESMExports();
  };
  replace((...args: unknown[]) => {
    calls.push(args);
    return original(...args);
  });
  t.teardown(() => replace(original));
  return calls;
}
