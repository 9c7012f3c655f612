import type { Command } from 'commander';
import { endSession, listSessions } from '../../src/admin/sessions.ts';
import { sidArgument } from './arguments.ts';
import { withDatabase } from './context.ts';
import { fromNow, print, table } from './output.ts';

export function addSessionCommands(program: Command): void {
  const session = program.command('session').description('browsers in which people are signed in');

  session
    .command('list')
    .description('list where a person is signed in')
    .argument('<email>')
    .option('--json', 'print JSON')
    .action(async (email: string, options: { json?: true }) => {
      await withDatabase(async (context) => {
        const sessions = await listSessions(context, email);
        print(options.json, sessions, () =>
          sessions.length === 0
            ? `${email} is signed in nowhere`
            : table(
                ['SID', 'SIGNED IN', 'LAST SEEN', 'ADDRESS'],
                sessions.map((one) => [
                  one.sid,
                  fromNow(one.created_at, context.now),
                  fromNow(one.last_seen_at, context.now),
                  one.ip ?? '-',
                ]),
              ),
        );
      });
    });

  session
    .command('end')
    .description('sign a browser out, of all apps that it is signed in to')
    .argument('<sid>', 'as keyturn session list shows it', sidArgument)
    .option('--json', 'print JSON')
    .action(async (sid: string, options: { json?: true }) => {
      const ended = await withDatabase((context) => endSession(context, sid));
      print(options.json, ended, () => `${sid} has ended, with ${ended.ended_grants} grants.`);
    });
}
