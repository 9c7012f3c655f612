import { createDenylist } from '@keyturn/verifier/denylist';
import { type Command, InvalidArgumentError } from 'commander';
import { endClientGrants } from '../../src/protocol/client.ts';
import { endSignIns, foldEmail } from '../../src/protocol/user.ts';
import { listSigningKeys } from '../../src/store/signing-key.ts';
import { findUserByEmail } from '../../src/store/user.ts';
import { createTokenReader } from '../../src/tokens/verification.ts';
import { nameArgument, once } from './arguments.ts';
import { type Context, withDatabase } from './context.ts';
import { mistake } from './failure.ts';
import { print } from './output.ts';
import { sidArgument } from './session.ts';
import { readToken } from './standard-input.ts';

/** What was done, for programs and for people. */
interface Outcome {
  readonly document: Readonly<Record<string, unknown>>;
  readonly says: string;
}

/** Does away with what `name` names. */
type Act = (name: string, reason: string, context: Context) => Promise<Outcome>;

const acts: Readonly<Record<string, Act>> = {
  jti: revokeToken,
  token: revokeByText,
  grant: endGrant,
  session: endSession,
  user: endUser,
  client: endClient,
};

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
    .option('--grant <id>', 'a grant, by the gid of its refresh tokens', once(grantArgument))
    .option('--session <sid>', 'a session, with the grants that end with it', once(sidArgument))
    .option('--user <email-or-sub>', 'all sessions, grants and access tokens of a person', once(String))
    .option('--client <client-id>', 'all grants and access tokens of a client', once(String))
    .option('--reason <text>', 'why, for the record', once(nameArgument))
    .option('--json', 'print JSON')
    .action(async ({ json, reason, ...named }: { json?: true; reason?: string } & Record<string, string>) => {
      const [[kind = '', name = ''] = [], ...others] = Object.entries(named);
      const act = acts[kind];
      if (act === undefined || others.length > 0) {
        throw mistake(
          `give one of ${Object.keys(acts)
            .map((option) => `--${option}`)
            .join(', ')}`,
        );
      }
      const { document, says } = await withDatabase((context) => act(name, reason ?? 'by command', context));
      print(json, document, () => says);
    });
}

async function revokeToken(jti: string, reason: string, { revoker }: Context): Promise<Outcome> {
  return tokenOutcome(jti, await revoker.revokeToken({ jti, exp: undefined, clientId: undefined }, reason));
}

/** A token says by itself what it is. What is no token of ours, or dead already, is a slip of the hand. */
async function revokeByText(
  argument: string,
  reason: string,
  { config, database, revoker, now }: Context,
): Promise<Outcome> {
  const text = await readToken(argument);
  const keys = await listSigningKeys(database);
  const denylist = createDenylist(); // empty: what is there already is found when it is written
  const reader = createTokenReader({ issuer: config.issuer, keys: () => keys, denylist, now: () => now });
  const access = await reader.accessToken(text);
  if (access !== undefined) {
    const { jti, exp } = access;
    return tokenOutcome(jti, await revoker.revokeToken({ jti, exp, clientId: undefined }, reason));
  }
  const refresh = await reader.refreshToken(text);
  if (refresh !== undefined) return grantOutcome(await revoker.endGrant(refresh.gid, reason));
  throw mistake('that is no access or refresh token of this issuer that is alive: see keyturn token inspect');
}

function tokenOutcome(jti: string, revoked: boolean): Outcome {
  return {
    document: { revoked: 'token', jti, already_revoked: !revoked },
    says: revoked ? `The token ${jti} is void.` : `The token ${jti} was void before; nothing was done.`,
  };
}

async function endGrant(id: string, reason: string, { revoker }: Context): Promise<Outcome> {
  return grantOutcome(await revoker.endGrant(id, reason));
}

/** Without its id: whoever has that is a step nearer to its refresh tokens. */
function grantOutcome(ended: boolean): Outcome {
  return {
    document: { revoked: 'grant', already_revoked: !ended },
    says: ended
      ? 'The grant has ended: its refresh tokens no longer work, and its access tokens are void.'
      : 'No such grant is alive; nothing was done. (The gid of an access token is a digest, and no id.)',
  };
}

async function endSession(sid: string, reason: string, { revoker }: Context): Promise<Outcome> {
  const { grants } = await revoker.endSession(sid, reason);
  return {
    document: { revoked: 'session', sid, ended_grants: grants.length },
    says: `${sid} has ended, with ${grants.length} grants.`,
  };
}

async function endUser(name: string, reason: string, { database, revoker }: Context): Promise<Outcome> {
  const email = foldEmail(name);
  const sub = email === undefined ? name : (await findUserByEmail(database, email))?.id;
  const changed = sub === undefined ? undefined : await revoker.changeUser(sub, endSignIns, reason);
  if (changed === undefined) throw mistake(`there is no user ${JSON.stringify(name)}: see keyturn user list`);
  return {
    document: { revoked: 'user', sub: changed.after.id },
    says: `All sessions and grants of ${changed.after.email} have ended, and their access tokens are void.`,
  };
}

async function endClient(id: string, reason: string, { revoker }: Context): Promise<Outcome> {
  const changed = await revoker.changeClient(id, async (client) => endClientGrants(client), reason);
  if (changed === undefined) throw mistake(`there is no client ${JSON.stringify(id)}: see keyturn client list`);
  return {
    document: { revoked: 'client', client_id: id },
    says: `All grants of ${id} have ended, and its access tokens are void. It can have new ones: see keyturn client disable.`,
  };
}

function tokenIdArgument(text: string): string {
  if (/^[\x21-\x7e]{1,200}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be the jti of an access token.');
}

function grantArgument(text: string): string {
  if (/^[\w-]{1,100}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be the gid of a refresh token.');
}
