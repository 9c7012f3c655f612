import { type Command, InvalidArgumentError } from 'commander';
import { sessionIdle } from '../../src/login/sessions.ts';
import { foldEmail } from '../../src/protocol/user.ts';
import { listSessions } from '../../src/store/session.ts';
import { findUserByEmail } from '../../src/store/user.ts';
import { withDatabase } from './context.ts';
import { mistake } from './failure.ts';
import { fromNow, print, table } from './output.ts';

export function addSessionCommands(program: Command): void {
  const session = program.command('session').description('browsers in which people are signed in');

  session
    .command('list')
    .description('list where a person is signed in')
    .argument('<email>')
    .option('--json', 'print JSON')
    .action(async (email: string, options: { json?: true }) => {
      await withDatabase(async ({ database, now }) => {
        const user = await findUserByEmail(database, foldEmail(email) ?? '');
        if (user === undefined) throw mistake(`there is no user ${JSON.stringify(email)}`);
        const sessions = await listSessions(database, user.id, now, sessionIdle);
        const documents = sessions.map(({ id, createdAt, lastSeenAt, ip, userAgent }) => ({
          ...{ sid: id, created_at: createdAt, last_seen_at: lastSeenAt },
          ...{ ip, user_agent: userAgent },
        }));
        print(options.json, documents, () =>
          sessions.length === 0
            ? `${user.email} is signed in nowhere`
            : table(
                ['SID', 'SIGNED IN', 'LAST SEEN', 'ADDRESS'],
                sessions.map((one) => [
                  one.id,
                  fromNow(one.createdAt, now),
                  fromNow(one.lastSeenAt, now),
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
      const { grants } = await withDatabase(({ revoker }) => revoker.endSession(sid, 'by command'));
      print(
        options.json,
        { sid, ended_grants: grants.length },
        () => `${sid} has ended, with ${grants.length} grants.`,
      );
    });
}

export function sidArgument(text: string): string {
  if (/^session_[a-z2-9]{16}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be a session id, such as session_k3v9….');
}
