/** What `npm pack` gives a service: installed alone into an empty project, it does there what its README says. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TokenError, type TokenErrorCode } from '@keyturn/verifier';
import tap, { test } from 'tap';
import { startFakeIssuer } from './support/fake-issuer.ts';
import { temporaryFolder } from './support/issuer.ts';
import { project } from './support/project.ts';

const folder = await temporaryFolder(tap as never);
const fake = await startFakeIssuer(tap);
const readme = readFileSync(project('verifier/README.md'), 'utf8');

interface Ran {
  readonly code: number | null;
  readonly output: string;
}

/** Runs a program without what tap adds to every process. */
function run(cwd: string, program: string, ...args: string[]): Promise<Ran> {
  const child = spawn('/usr/bin/env', ['-u', 'NODE_OPTIONS', program, ...args], { cwd });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      output += chunk;
    });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })));
}

/** Runs the README's module in the empty project. */
async function runReadme(token: string, { closing = true } = {}): Promise<Ran> {
  const [, code = ''] = /^```js\n([\s\S]*?)^```$/m.exec(readme) ?? [];
  const module = `const token = ${JSON.stringify(token)};\n${code.replaceAll('http://localhost:3000', fake.issuer)}`;
  writeFileSync(join(folder, 'readme.js'), closing ? module : module.replace('await verifier.close();', ''));
  return run(folder, process.execPath, 'readme.js');
}

test('it packs, and installs with nothing but jose', async (t) => {
  const quiet = ['--silent', '--ignore-scripts', '--offline', '--no-audit', '--no-fund'];
  // jose comes from this checkout, so that no network is needed.
  for (const source of ['verifier', 'node_modules/jose']) {
    const packed = await run(project(source), 'npm', 'pack', ...quiet, '--pack-destination', folder);
    t.equal(packed.code, 0, packed.output);
  }
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  const tarballs = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  t.equal(tarballs.length, 2);
  const installed = await run(folder, 'npm', 'install', ...quiet, ...tarballs.map((name) => `./${name}`));
  t.equal(installed.code, 0, installed.output);
  const packages = readdirSync(join(folder, 'node_modules')).filter((name) => !name.startsWith('.'));
  t.same(packages, ['@keyturn', 'jose']);
  const files = readdirSync(join(folder, 'node_modules/@keyturn/verifier'), { recursive: true, encoding: 'utf8' });
  t.same(
    files.filter((name) => /\.\w+$/.test(name) && !/\.(js|d\.ts)$|^package\.json$|^README\.md$/.test(name)),
    [],
    'no file that nobody needs',
  );
});

test('what its README shows works there, and the process ends after it', async (t) => {
  const token = await fake.token({ sub: 'ada', scope: 'openid orders:read' });
  t.same(await runReadme(token), { code: 0, output: 'ada openid orders:read\n' });
  t.same(await runReadme(await fake.token({ exp: 1 })), { code: 0, output: '401 invalid_token token_expired\n' });
  t.same(await runReadme(await fake.token()), { code: 0, output: '403 insufficient_scope scope_missing\n' });
  delete fake.answers['/revocations/stream'];
  t.same(
    await runReadme(token, { closing: false }),
    { code: 0, output: 'ada openid orders:read\n' },
    'its timers keep no process alive',
  );
});

test('its adapters are there without a framework', async (t) => {
  const module = `
    import { accessTokens } from '@keyturn/verifier/fastify';
    import { createTokenMiddleware } from '@keyturn/verifier/express';
    import { createTokenChecks } from '@keyturn/verifier/request';
    console.log(typeof accessTokens, typeof createTokenMiddleware, typeof createTokenChecks);`;
  writeFileSync(join(folder, 'adapters.js'), module);
  t.same(await run(folder, process.execPath, 'adapters.js'), { code: 0, output: 'function function function\n' });
});

test('its types are complete, and hold', async (t) => {
  writeFileSync(
    join(folder, 'service.ts'),
    `import { createVerifier, type AccessTokenClaims, type TokenErrorCode } from '@keyturn/verifier';
    import { createTokenMiddleware } from '@keyturn/verifier/express';
    import { createTokenChecks } from '@keyturn/verifier/request';
    const verifier = createVerifier({ issuer: 'https://id.example', audience: ['https://orders.example'] });
    export const middleware = createTokenMiddleware({ verifier, metadata: {} }).requireToken({ scope: ['a', 'b'] });
    export const check = createTokenChecks({ verifier, cookie: 'client_1' }).requireToken();
    // @ts-expect-error
    createTokenChecks({ verifier }).requireToken({ scopes: 'a' });
    const claims: AccessTokenClaims = await verifier.verify('x');
    const code: TokenErrorCode = 'token_revoked';
    export const known: [string, number, string | undefined, string] = [claims.sub, claims.exp, claims.scope, code];
    // @ts-expect-error
    export const number: number = claims.sub;
    // @ts-expect-error
    export const unknown: TokenErrorCode = 'x';
    // @ts-expect-error
    createVerifier({ issuer: 'https://id.example' });`,
  );
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--lib', 'es2023,dom'];
  const compiler = project('node_modules/typescript/bin/tsc');
  t.same(await run(folder, process.execPath, compiler, ...options, 'service.ts'), { code: 0, output: '' });
});

test('the README names every code and every option there is', async (t) => {
  const namesIn = (file: string, pattern: RegExp) =>
    [...readFileSync(project(`verifier/src/${file}`), 'utf8').matchAll(pattern)].map(([, name]) => name ?? '');
  const codes = namesIn('error.ts', /^ {2}(\w+): \{/gm);
  const options = namesIn('options.ts', /^ {2}readonly (\w+)\?:/gm);
  t.ok(codes.includes('token_revoked') && options.includes('maxStaleness'), 'both were found');
  for (const name of [...codes, ...options, 'issuer', 'audience']) t.match(readme, `\`${name}\``, name);
  const [table = ''] = /\| code \|[\s\S]*?\n\n/.exec(readme) ?? [];
  for (const [, listed = '', status, error] of table.matchAll(/^\| (`.*?`) \| (\d+) \| `(\w+)` \|$/gm)) {
    for (const [, code = ''] of listed.matchAll(/`(\w+)`/g))
      t.match(new TokenError(code as TokenErrorCode), { status: Number(status), error }, code);
  }
});
