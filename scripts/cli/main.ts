/** The command line `keyturn`: what an administrator types, beside a running server or for one. */
import { Command, CommanderError } from 'commander';
import { addAuditCommands } from './audit.ts';
import { addClientCommands } from './client.ts';
import { addDoctorCommand } from './doctor.ts';
import { Failure } from './failure.ts';
import { addKeyCommands } from './keys.ts';
import { complaint } from './output.ts';
import { addResourceCommands } from './resource.ts';
import { addRevokeCommand } from './revoke.ts';
import { addRoleCommands } from './role.ts';
import { addSessionCommands } from './session.ts';
import { addTokenCommands } from './token.ts';
import { addUserCommands } from './user.ts';

const program = new Command('keyturn')
  .description('administers a Keyturn issuer; reads the same environment and .env as the server')
  .exitOverride()
  .configureOutput({ outputError: (line, write) => write(complaint(line)) })
  .showSuggestionAfterError(true);

const groups = [
  addResourceCommands,
  addClientCommands,
  addUserCommands,
  addRoleCommands,
  addSessionCommands,
  addKeyCommands,
  addTokenCommands,
  addDoctorCommand,
  addRevokeCommand,
  addAuditCommands,
];
for (const add of groups) add(program);

// Whoever reads only the first lines of a list has had enough: no reason to complain.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}

/** Says what was wrong, unless commander has; a mistake of ours shows where it is. */
function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (!(error instanceof Failure)) {
    process.stderr.write(`keyturn: ${(error as Error).stack}\n`);
    return 1;
  }
  for (const line of error.lines) process.stderr.write(complaint(line));
  return error.exitCode;
}
