import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type Test, test } from 'tap';
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

test("docs/security.md says why a version of somebody else's choice is overridden", async (t) => {
  const { overrides } = JSON.parse(read('package.json')) as { overrides: Record<string, string> };
  const reasons = /Overridden is([\s\S]*?)\n\n/.exec(read('docs/security.md'))?.[1] ?? '';
  for (const name of Object.keys(overrides)) t.match(reasons, `\`${name}\``, name);
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

/** Runs a program of this checkout in its folder. Through `env`, as tap adds NODE_OPTIONS to whatever a test spawns. */
async function run(script: string, env: Record<string, string> = {}) {
  const child = spawn('/usr/bin/env', ['-u', 'NODE_OPTIONS', process.execPath, script], {
    cwd: project('.'),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [stdout, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return { stdout, code };
}

interface Locked {
  readonly version: string;
  readonly link?: boolean;
  readonly dependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
}

/** What the lock file gives production: all that is needed, by what is needed. */
function productionPackages(): Set<string> {
  const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, Locked> };
  const found = new Set<string>();
  function walk(at: string): void {
    const { dependencies, optionalDependencies } = packages[at] as Locked;
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      let folder = at;
      while (folder !== '' && !(join(folder, 'node_modules', name) in packages)) folder = join(folder, '..');
      const path = join(folder, 'node_modules', name);
      if (packages[path] === undefined || found.has(path)) continue;
      found.add(path);
      walk(packages[path].link ? 'verifier' : path);
    }
  }
  walk('');
  return new Set([...found].map((path) => `${path.replace(/^.*node_modules\//, '')}@${versionAt(packages, path)}`));
}

function versionAt(packages: Record<string, Locked>, path: string): string | undefined {
  return packages[packages[path]?.link ? 'verifier' : path]?.version;
}

test('the bill of materials has all of production with digests and licences, and nothing of development', async (t) => {
  const { stdout, code } = await run('dist/scripts/sbom.js');
  t.equal(code, 0);
  const { bomFormat, specVersion, metadata, components } = JSON.parse(stdout);
  t.match({ bomFormat, specVersion, name: metadata.component.name }, { bomFormat: 'CycloneDX', name: 'keyturn' });
  const named = new Set<string>(components.map((component: { 'bom-ref': string }) => component['bom-ref']));
  const needed = productionPackages();
  t.ok(needed.size > 80 && [...needed].some((name) => name.startsWith('jose@')));
  t.same(
    [...needed].filter((name) => !named.has(name)),
    [],
    'nothing is missing',
  );
  for (const name of ['typescript@', 'tap@', 'prisma@', 'react@']) {
    t.notOk(
      [...named].some((other) => other.startsWith(name)),
      name,
    );
  }
  for (const { purl, hashes, licenses } of components) {
    t.match(purl, /^pkg:npm\/.+@\d/);
    t.ok(licenses?.length > 0, purl);
    if (!purl.includes('keyturn')) t.match(hashes, [{ alg: 'SHA-512' }], purl);
  }
});

/** A registry that answers questions for advisories like this, and nothing else. */
async function startRegistry(t: Test, status: number, advisories: object): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    response.statusCode = request.url?.endsWith('/advisories/bulk') ? status : 404;
    response.end(JSON.stringify(advisories));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

test('what is known against a package of production fails the check; a registry that does not say, does not', async (t) => {
  const advisory = {
    ...{ id: 1, url: 'https://example.org/1', title: 'it lets anybody in', severity: 'high' },
    ...{ vulnerable_versions: '*', cwe: [], cvss: { score: 9, vectorString: null } },
  };
  const ask = async (status: number, advisories: object) =>
    run('dist/scripts/advisories.js', { npm_config_registry: await startRegistry(t, status, advisories) });
  t.same(await ask(200, {}), { code: 0, stdout: 'advisories: none\n' });
  const bad = await ask(200, { jose: [advisory] });
  t.equal(bad.code, 1);
  t.match(bad.stdout, /^advisories: .*\bjose \(high\)/);
  const none = await ask(405, {});
  t.match(none, { code: 0, stdout: /^advisories: not asked for, as the registry does not answer: 405 / });
  const away = await run('dist/scripts/advisories.js', { npm_config_registry: 'http://127.0.0.1:9/' });
  t.match(away, { code: 0, stdout: /not asked for/ });
});
