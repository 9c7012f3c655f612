/**
 * `npm run --silent sbom`: what production is made of, as a CycloneDX document. `npm sbom --omit=dev` leaves out what
 * something for development needs too, such as jose: so npm is asked in a folder where nothing is for development.
 */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const temporary = await mkdtemp(join(tmpdir(), 'keyturn-sbom-'));
try {
  const folder = join(temporary, 'keyturn'); // npm names the whole after its folder
  for (const path of ['package.json', 'verifier/package.json']) {
    const { devDependencies, ...production } = JSON.parse(await readFile(path, 'utf8'));
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), JSON.stringify(production));
  }
  for (const path of ['package-lock.json', '.npmrc']) await cp(path, join(folder, path));
  await run('npm', ['install', '--package-lock-only', '--offline', '--no-audit'], { cwd: folder });
  const { stdout } = await run('npm', ['sbom', '--package-lock-only', '--sbom-format=cyclonedx'], {
    cwd: folder,
    maxBuffer: 2 ** 26,
  });
  process.stdout.write(stdout);
} finally {
  await rm(temporary, { recursive: true });
}
