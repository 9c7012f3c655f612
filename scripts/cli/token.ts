import type { Command } from 'commander';
import { type InspectionDocument, inspect } from '../../src/admin/tokens.ts';
import type { NumericDate } from '../../src/protocol/time.ts';
import { withDatabase } from './context.ts';
import { facts, print, printable, when } from './output.ts';
import { readToken } from './standard-input.ts';

export function addTokenCommands(program: Command): void {
  const token = program.command('token').description('tokens');

  token
    .command('inspect')
    .description('explain a token, and say whether it is good: signature, key, times, denylist (exit code 1 if not)')
    .argument('<jwt>', 'the token, or - to read it from standard input')
    .option('--json', 'print JSON')
    .action(async (argument: string, options: { json?: true }) => {
      const jwt = await readToken(argument);
      await withDatabase(async (context) => {
        const inspection = await inspect(context, jwt);
        print(options.json, inspection, () => inWords(inspection, context.now));
        process.exitCode = inspection.good ? 0 : 1;
      });
    });
}

const times = ['iat', 'nbf', 'exp', 'auth_time'];

function inWords({ good, header, claims, findings }: InspectionDocument, now: NumericDate): string {
  const values = (object: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(
      Object.entries(object).map(([name, value]) => [`  ${printable(name)}`, valueInWords(name, value, now)]),
    );
  return [
    'Header',
    facts(values(header)),
    'Claims',
    facts(values(claims)),
    'Checks',
    facts(Object.fromEntries(findings.map(({ about, good, says }) => [`  ${good ? 'ok ' : 'BAD'} ${about}`, says]))),
    good ? 'The token is good.' : 'The token is NOT good.',
  ].join('\n');
}

function valueInWords(name: string, value: unknown, now: NumericDate): string {
  const isTime = times.includes(name) && typeof value === 'number' && Math.abs(value) < 1e11;
  const shown = typeof value === 'string' ? printable(value) : printable(JSON.stringify(value));
  return isTime ? `${shown}  ${when(value, now)}` : shown;
}
