/**
 * `npm run advisories`, a part of `npm run check`: what the registry knows against the packages of production. Exit code 1
 * where it knows something. A registry that is out of reach, or answers no such questions, is no reason to fail: a line
 * says that nobody was asked.
 */
import { spawnSync } from 'node:child_process';

const once = ['--fetch-retries=0', '--fetch-timeout=20000'];
const { stdout } = spawnSync('npm', ['audit', '--omit=dev', '--json', ...once], { encoding: 'utf8' });
const { vulnerabilities, message } = read(stdout);
if (vulnerabilities === undefined) {
  const reason = String(message ?? 'npm says nothing').replaceAll(/\p{Cc}+/gu, ' ');
  process.stdout.write(`advisories: not asked for, as the registry does not answer: ${reason}\n`);
} else {
  const known = Object.values(vulnerabilities).map(({ name, severity }) => `${name} (${severity})`);
  process.stdout.write(`advisories: ${known.join(', ') || 'none'}\n`);
  if (known.length > 0) {
    process.stdout.write('npm audit --omit=dev says more\n');
    process.exitCode = 1;
  }
}

/** What `npm audit --json` answers: a report, or why there is none. */
interface Answer {
  readonly vulnerabilities?: Record<string, { readonly name: string; readonly severity: string }>;
  readonly message?: string;
}

function read(json: string): Answer {
  try {
    return JSON.parse(json);
  } catch {
    return {};
  }
}
