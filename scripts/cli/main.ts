/** The command line `keyturn`: what an administrator types, beside a running server or for one. */
import { Command, CommanderError } from 'commander';
import { addClientCommands } from './client.ts';
import { Failure } from './failure.ts';
import { addKeyCommands } from './keys.ts';
import { addResourceCommands } from './resource.ts';
import { addTokenCommands } from './token.ts';

const program = new Command('keyturn')
  .description('administers a Keyturn issuer; reads the same environment and .env as the server')
  .exitOverride()
  .configureOutput({ outputError: (line, write) => write(`keyturn: ${line.replace(/^error: /, '')}`) })
  .showSuggestionAfterError(true);

for (const add of [addResourceCommands, addClientCommands, addKeyCommands, addTokenCommands]) add(program);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}

/** Says what was wrong, unless commander has; a mistake of ours shows where it is. */
function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError)
    return error.exitCode === 0 || error.code === 'commander.help' ? error.exitCode : 2;
  const known = error instanceof Failure;
  process.stderr.write(`keyturn: ${known ? error.message : (error as Error).stack}\n`);
  return known ? error.exitCode : 1;
}
