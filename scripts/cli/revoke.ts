import type { Command } from 'commander';
import { type RevocationDocument, type RevocationKind, revocationKinds, revoke } from '../../src/admin/revocations.ts';
import { grantIdArgument, nameArgument, once, sidArgument, tokenIdArgument } from './arguments.ts';
import { withDatabase } from './context.ts';
import { mistake } from './failure.ts';
import { print } from './output.ts';
import { readToken } from './standard-input.ts';

export function addRevokeCommand(program: Command): void {
  program
    .command('revoke')
    .description('void a token, or end a grant, a session, or all that a person or a client has; name one of them')
    .option('--jti <jti>', 'an access token, by its jti', once(tokenIdArgument))
    .option(
      '--token <jwt>',
      'an access token, or the grant of a refresh token; - reads it from standard input',
      once(String),
    )
    .option('--grant <id>', 'a grant, by the gid of its refresh tokens', once(grantIdArgument))
    .option('--session <sid>', 'a session, with the grants that end with it', once(sidArgument))
    .option('--user <email-or-sub>', 'all sessions, grants and access tokens of a person', once(String))
    .option('--client <client-id>', 'all grants and access tokens of a client', once(String))
    .option('--reason <text>', 'why, for the record', once(nameArgument))
    .option('--json', 'print JSON')
    .action(async ({ json, reason, ...named }: { json?: true; reason?: string } & Record<string, string>) => {
      const [[kind, given] = ['', ''], ...others] = Object.entries(named);
      if (!isKind(kind) || others.length > 0) {
        throw mistake(`give one of ${revocationKinds.map((option) => `--${option}`).join(', ')}`);
      }
      const name = kind === 'token' ? await readToken(given) : given;
      const done = await withDatabase((context) => revoke(context, kind, name, reason));
      print(json, done, () => inWords(done));
    });
}

function isKind(kind: string): kind is RevocationKind {
  return (revocationKinds as readonly string[]).includes(kind);
}

function inWords(done: RevocationDocument): string {
  switch (done.revoked) {
    case 'token':
      return done.already_revoked
        ? `The token ${done.jti} was void before; nothing was done.`
        : `The token ${done.jti} is void.`;
    case 'grant':
      return done.already_revoked
        ? 'No such grant is alive; nothing was done. (The gid of an access token is a digest, and no id.)'
        : 'The grant has ended: its refresh tokens no longer work, and its access tokens are void.';
    case 'session':
      return `${done.sid} has ended, with ${done.ended_grants} grants.`;
    case 'user':
      return `All sessions and grants of ${done.email} have ended, and their access tokens are void.`;
    case 'client':
      return `All grants of ${done.client_id} have ended, and its access tokens are void. It can have new ones: see keyturn client disable.`;
  }
}
