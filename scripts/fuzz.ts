/**
 * `npm run fuzz [-- <seconds> [<seed>]]`: the properties of the hostile tests, each for so many seconds (60), on another
 * walk each time unless a seed is given; and a million bad requests (FUZZ_REQUESTS), after which memory has to be where it was. Exit code 1
 * where something was found: the seed that is shown finds it again.
 */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';

const [seconds = '60', seed = String(randomInt(2 ** 31)), ...others] = process.argv.slice(2);
if (others.length > 0 || !/^[1-9]\d{0,5}$/.test(seconds) || !/^\d{1,10}$/.test(seed)) {
  process.stderr.write('usage: npm run fuzz [-- <seconds for each property> [<seed>]]\n');
  process.exit(2);
}

process.stdout.write(`seed ${seed}, ${seconds} s for each property\n`);
const files = ['fuzz', 'endpoints', 'command-line'].map((name) => `dist/test/hostile-${name}.test.js`);
const longest = 20 * Number(seconds) + 1_800;
const child = spawn(
  'npx',
  ['tap', '--disable-coverage', `--timeout=${longest}`, '--reporter=tap', '--jobs=1', ...files],
  {
    env: { FUZZ_REQUESTS: '1000000', ...process.env, FUZZ_SECONDS: seconds, SEED: seed },
    stdio: 'inherit',
  },
);
child.on('exit', (code) => {
  process.exitCode = code ?? 1;
});
