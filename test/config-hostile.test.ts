import fc from 'fast-check';
import { test } from 'tap';
import { readConfig, settings } from '../src/config.ts';

function mistakesIn(environment: Record<string, string | undefined>, dotenv: string): readonly string[] {
  const result = readConfig(environment, { cwd: '/srv/keyturn', dotenv });
  return result.ok ? [] : result.mistakes;
}

test('whatever the environment, the answer is a value that never shows the database URL', async (t) => {
  const names = Object.values(settings).map((setting) => setting.name);
  const name = fc.oneof(fc.constantFrom(...names), fc.string({ unit: 'binary' }), fc.constant('__proto__'));
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.nat().map(String), fc.webUrl());
  const secret = fc.stringMatching(/^[Q-Z]{16}$/);
  const form = fc.constantFrom('$', ' $', '$:', '$://u@h/d', 'mysql://$', 'postgres://u:$@h', 'postgres://u:$%@h/d');
  const holder = fc.constantFrom('DATABASE_URL', 'DATABASE_URI', 'KEYTURN_DATABASE_URL');
  const anything = fc.tuple(fc.dictionary(name, text), text, secret, form, holder, fc.boolean());
  const { counterexample } = fc.check(
    fc.property(anything, ([environment, dotenv, value, shape, variable, inFile]) => {
      const url = shape.replace('$', value);
      const from = inFile ? environment : { ...environment, [variable]: url };
      const file = inFile ? `${dotenv}\n${variable}=${url}\n` : dotenv;
      return !mistakesIn(from, file).some((mistake) => mistake.includes(value) || /\p{Cc}/u.test(mistake));
    }),
  );
  t.equal(counterexample, null);
});
