import { readFileSync } from 'node:fs';
import { test } from 'tap';
import { project } from './support/project.ts';

const read = (path: string) => readFileSync(project(path), 'utf8');

test('docs/security.md says of each package of production why it is there', async (t) => {
  const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
  const table = /\| package \| for \|\n([\s\S]*?)\n\n/.exec(read('docs/security.md'))?.[1] ?? '';
  const explained = [...table.matchAll(/^\|(.*?)\|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  );
  const own = '@keyturn/verifier';
  t.same(
    explained.sort(),
    Object.keys(dependencies)
      .filter((name) => name !== own)
      .sort(),
  );
});

test('every version is pinned, and no package runs code of its own when it is installed', async (t) => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<string, Record<string, string>>;
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
    t.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/, name);
  }
  t.match(read('.npmrc'), /^ignore-scripts=true$/m);
  const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, Record<string, unknown>> };
  const fetched = Object.entries(packages).filter(([path, { link }]) => path.startsWith('node_modules/') && !link);
  t.ok(fetched.length > 100);
  for (const [path, { integrity }] of fetched) t.match(integrity, /^sha512-/, path);
});
