/** The command line `keyturn`: what an administrator types, beside a running server or for one. */
import { Command, CommanderError } from 'commander';
import { Failure } from './failure.ts';
import { complaint } from './output.ts';

/** What adds a group of commands to the program, by the group's name, in the order in which help lists them. */
const groups: Record<string, () => Promise<(program: Command) => void>> = {
  resource: async () => (await import('./resource.ts')).addResourceCommands,
  client: async () => (await import('./client.ts')).addClientCommands,
  user: async () => (await import('./user.ts')).addUserCommands,
  role: async () => (await import('./role.ts')).addRoleCommands,
  session: async () => (await import('./session.ts')).addSessionCommands,
  keys: async () => (await import('./keys.ts')).addKeyCommands,
  token: async () => (await import('./token.ts')).addTokenCommands,
  doctor: async () => (await import('./doctor.ts')).addDoctorCommand,
  revoke: async () => (await import('./revoke.ts')).addRevokeCommand,
  audit: async () => (await import('./audit.ts')).addAuditCommands,
};

const program = new Command('keyturn')
  .description('administers a Keyturn issuer; reads the same environment and .env as the server')
  .exitOverride()
  .configureOutput({ outputError: (line, write) => write(complaint(line)) })
  .showSuggestionAfterError(true);

// Only what is asked for is loaded; whoever names no group hears of all of them.
const [, , asked = ''] = process.argv;
const group = Object.hasOwn(groups, asked) ? groups[asked] : undefined;
for (const load of group === undefined ? Object.values(groups) : [group]) (await load())(program);

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
