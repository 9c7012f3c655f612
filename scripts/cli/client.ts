import type { Command } from 'commander';
import { digestSecret, newId, newSecret } from '../../src/crypto/handle.ts';
import { type Client, type ClientAuthMethod, clientDefaults } from '../../src/protocol/client.ts';
import { addClient, type ClientChange, listClients, updateClient } from '../../src/store/client.ts';
import type { Database } from '../../src/store/database.ts';
import { listResources } from '../../src/store/resource.ts';
import {
  audienceArgument,
  authArgument,
  each,
  grantArgument,
  nameArgument,
  once,
  scopeArgument,
  secondsArgument,
} from './arguments.ts';
import { type Context, withDatabase } from './context.ts';
import { mistake } from './failure.ts';
import { facts, instant, print, table } from './output.ts';

interface ClientOptions {
  name?: string;
  grant?: string[];
  audience?: string[];
  scope?: string[];
  auth?: ClientAuthMethod;
  overlap?: number;
  json?: true;
}

/** How many clients a list reads at a time. */
const pageSize = 500;

const longestOverlap = 30 * 86_400;

export function addClientCommands(program: Command): void {
  const client = program.command('client').description('OAuth clients: the applications that ask for tokens');

  withOptions(client.command('add').description('add a client; its secret is shown once'))
    .argument('<name>', 'its name, for people', nameArgument)
    .action(async (name: string, options: ClientOptions) => {
      if (options.grant === undefined) throw mistake('a client needs a grant type: give --grant');
      const secret = newSecret('ktcs');
      const added: Client = {
        ...clientDefaults,
        id: newId('client'),
        name,
        authMethod: options.auth ?? 'client_secret_basic',
        secretDigests: [digestSecret(secret)],
        grantTypes: [...new Set(options.grant)],
        scopes: [...new Set(options.scope)],
        resources: [...new Set(options.audience)],
      };
      await withDatabase(async ({ database }) => {
        await requireConsistent(database, added);
        await addClient(database, added);
      });
      showWithSecret(options, added, secret);
    });

  client
    .command('list')
    .description('list the clients')
    .option('--json', 'print JSON')
    .action(async (options: ClientOptions) => {
      const clients = await withDatabase(({ database }) => readAll(database));
      print(options.json, clients.map(toDocument), () =>
        clients.length === 0
          ? 'no clients yet: keyturn client add <name> --grant <type>'
          : table(
              ['CLIENT_ID', 'NAME', 'GRANTS', 'AUDIENCES', 'SCOPES', 'STATE'],
              clients.map((one) => [
                one.id,
                one.name,
                one.grantTypes.join(' '),
                one.resources.join(' '),
                one.scopes.join(' '),
                one.disabledAt === null ? 'enabled' : `disabled since ${instant(one.disabledAt)}`,
              ]),
            ),
      );
    });

  withOptions(client.command('update').description('change a client; lists that are given replace the old ones'))
    .argument('<client-id>')
    .option('--name <name>', 'its name, for people', once(nameArgument))
    .action(async (id: string, options: ClientOptions) => {
      const { name, grant, audience, scope, auth } = options;
      const change = {
        ...(name !== undefined && { name }),
        ...(grant !== undefined && { grantTypes: [...new Set(grant)] }),
        ...(audience !== undefined && { resources: [...new Set(audience)] }),
        ...(scope !== undefined && { scopes: [...new Set(scope)] }),
        ...(auth !== undefined && { authMethod: auth }),
      };
      if (Object.keys(change).length === 0) throw mistake('nothing to change: see keyturn client update --help');
      show(
        options,
        await update(id, async (before, { database }) => {
          const after = { ...before, ...change };
          await requireConsistent(database, after);
          return after;
        }),
      );
    });

  client
    .command('disable')
    .description('refuse the client from now on')
    .argument('<client-id>')
    .option('--json', 'print JSON')
    .action(async (id: string, options: ClientOptions) => {
      show(options, await update(id, async (before, { now }) => ({ disabledAt: before.disabledAt ?? now })));
    });

  client
    .command('enable')
    .description('accept a disabled client again')
    .argument('<client-id>')
    .option('--json', 'print JSON')
    .action(async (id: string, options: ClientOptions) => {
      show(options, await update(id, async () => ({ disabledAt: null })));
    });

  client
    .command('rotate-secret')
    .description('give the client a new secret, shown once')
    .argument('<client-id>')
    .option(
      '--overlap <seconds>',
      'how long the old secret stays good (0 if not given)',
      once(secondsArgument(0, longestOverlap)),
    )
    .option('--json', 'print JSON')
    .action(async (id: string, options: ClientOptions) => {
      const secret = newSecret('ktcs');
      const overlap = options.overlap ?? 0;
      const updated = await update(id, async (before, { now }) => ({
        secretDigests: [digestSecret(secret), ...before.secretDigests.slice(0, overlap > 0 ? 1 : 0)],
        previousSecretExpiresAt: overlap > 0 ? now + overlap : null,
      }));
      const until = updated.previousSecretExpiresAt;
      showWithSecret(options, updated, secret, [
        until === null ? 'The secret before it is void.' : `The secret before it stays good until ${instant(until)}.`,
      ]);
    });
}

function withOptions(command: Command): Command {
  return command
    .option('--grant <type>', 'a grant type it may use; repeatable', each(grantArgument))
    .option(
      '--audience <audience-uri>',
      'a resource service it may ask tokens for, the default first; repeatable',
      each(audienceArgument),
    )
    .option('--scope <scope>', 'a scope it may have; repeatable', each(scopeArgument))
    .option('--auth <method>', 'how it authenticates (client_secret_basic if not given)', once(authArgument))
    .option('--json', 'print JSON');
}

async function update(
  id: string,
  decide: (before: Client, context: Context) => Promise<ClientChange>,
): Promise<Client> {
  return withDatabase(async (context) => {
    const updated = await updateClient(context.database, id, (before) => decide(before, context));
    if (updated === undefined) throw mistake(`there is no client ${JSON.stringify(id)}: see keyturn client list`);
    return updated;
  });
}

/** A client that could never get a token is a slip of the hand, so it is refused. */
async function requireConsistent(database: Database, client: Client): Promise<void> {
  const known = new Map((await listResources(database)).map((resource) => [resource.identifier, resource]));
  for (const audience of client.resources) {
    if (!known.has(audience))
      throw mistake(`there is no resource service ${audience}: keyturn resource add ${audience}`);
  }
  if (client.grantTypes.includes('client_credentials')) {
    if (client.resources.length === 0)
      throw mistake('a client with client_credentials needs an audience: give --audience');
    if (client.authMethod === 'none')
      throw mistake('a public client has no credentials of its own: not with client_credentials');
  }
  for (const scope of client.scopes) {
    if (!client.resources.some((audience) => Object.hasOwn(known.get(audience)?.scopes ?? {}, scope))) {
      throw mistake(`no audience of the client knows the scope ${scope}`);
    }
  }
}

async function readAll(database: Database): Promise<Client[]> {
  const all: Client[] = [];
  for (;;) {
    const page = await listClients(database, all.at(-1)?.id ?? '', pageSize);
    all.push(...page);
    if (page.length < pageSize) return all;
  }
}

function show(options: ClientOptions, client: Client): void {
  print(options.json, toDocument(client), () => facts(toWords(client)));
}

function showWithSecret(options: ClientOptions, client: Client, secret: string, remarks: string[] = []): void {
  const { client_id, ...rest } = toDocument(client);
  print(options.json, { client_id, client_secret: secret, ...rest }, () =>
    [
      facts({ client_id, client_secret: secret }),
      '',
      'Keep the secret now: it is not stored and cannot be shown again.',
      ...remarks,
    ].join('\n'),
  );
}

function toWords(client: Client): Record<string, string> {
  return {
    client_id: client.id,
    name: client.name,
    grants: client.grantTypes.join(' '),
    audiences: client.resources.join(' ') || 'none',
    scopes: client.scopes.join(' ') || 'none',
    authenticates: client.authMethod,
    state: client.disabledAt === null ? 'enabled' : `disabled since ${instant(client.disabledAt)}`,
  };
}

/** In the words of client metadata (RFC 7591 §2) where it has them. */
function toDocument(client: Client): { client_id: string } & Record<string, unknown> {
  return {
    client_id: client.id,
    client_name: client.name,
    grant_types: client.grantTypes,
    audiences: client.resources,
    scope: client.scopes.join(' '),
    token_endpoint_auth_method: client.authMethod,
    previous_secret_expires_at: client.previousSecretExpiresAt,
    disabled_at: client.disabledAt,
  };
}
