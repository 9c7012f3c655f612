import type { Command } from 'commander';
import { withDatabase } from './context.ts';
import { examine, type Finding } from './doctor-checks.ts';
import { Failure } from './failure.ts';
import { paint, print, printable } from './output.ts';

export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('look at all that keeps keys turning; exit code 1 where something is wrong')
    .option('--json', 'print JSON')
    .action(async (options: { json?: true }) => {
      const findings = await withDatabase(examine).catch(orWhyNot);
      const status = worst(findings);
      print(options.json, { status, findings }, () => findings.map(inWords).join('\n'));
      if (status === 'problem') process.exitCode = 1;
    });
}

/** Where the database itself cannot be used, that is the one finding. A wrong configuration stays a wrong command. */
function orWhyNot(error: unknown): Finding[] {
  if (!(error instanceof Failure) || error.exitCode !== 1) throw error;
  return [{ about: 'database', level: 'problem', says: error.message }];
}

function worst(findings: readonly Finding[]): Finding['level'] {
  const found = (level: Finding['level']) => findings.some((finding) => finding.level === level);
  return found('problem') ? 'problem' : found('warning') ? 'warning' : 'ok';
}

const colours = { ok: 'green', warning: 'yellow', problem: 'red' } as const;

function inWords({ about, level, says }: Finding): string {
  return `${paint(colours[level], level.padEnd(7))}  ${about.padEnd(12)}  ${printable(says)}`;
}
