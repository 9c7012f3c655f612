import { existsSync, readFileSync } from 'node:fs';
import { test } from 'tap';
import { project } from './support/project.ts';

/** The rows of the table: a clause and the tests that it quotes. */
const rows = readFileSync(project('test/CONFORMANCE.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| Clause |'))
  .map((line) => {
    const [clause = '', tests = ''] = line.slice(2, -2).split(' | ');
    return { clause, quoted: tests.split(' <br> ') };
  });

test('every clause quotes tests, and every test that is quoted exists', async (t) => {
  t.ok(rows.length > 40, 'the table was found');
  for (const { clause, quoted } of rows) {
    for (const quote of quoted) {
      const [, file, name] = /^`([\w-]+\.test\.ts)`: (.+)$/.exec(quote) ?? [];
      const path = project(`test/${file}`);
      const found = existsSync(path) && readFileSync(path, 'utf8').includes(`\ntest('${name}', `);
      t.ok(found, `${clause} → ${quote}`);
    }
  }
});
