import type { Command } from 'commander';
import {
  addClient,
  type ClientDocument,
  type ClientWithSecret,
  disable,
  enable,
  listClients,
  rotateSecret,
  updateClient,
} from '../../src/admin/clients.ts';
import { longestOverlap } from '../../src/admin/values.ts';
import { nameArgument, once, secondsArgument } from './arguments.ts';
import { type ClientOptions, toClientValues, withClientOptions } from './client-options.ts';
import { everything, withDatabase } from './context.ts';
import { mistake } from './failure.ts';
import { facts, instant, print, table } from './output.ts';

export function addClientCommands(program: Command): void {
  const client = program.command('client').description('OAuth clients: the applications that ask for tokens');
  const commandOn = (name: string, description: string) =>
    client.command(name).description(description).argument('<client-id>');

  withClientOptions(client.command('add').description('add a client; its secret is shown once'))
    .argument('<name>', 'its name, for people', nameArgument)
    .action(async (name: string, options: ClientOptions) => {
      const values = { ...toClientValues(options), client_name: name };
      const { client } = await withDatabase((context) => addClient(context, values));
      showWithSecret(options, client);
    });

  client
    .command('list')
    .description('list the clients')
    .option('--json', 'print JSON')
    .action(async (options: ClientOptions) => {
      const clients = await withDatabase((context) => everything((asked) => listClients(context, asked)));
      print(options.json, clients, () =>
        clients.length === 0
          ? 'no clients yet: keyturn client add <name> --grant <type>'
          : table(
              ['CLIENT_ID', 'NAME', 'GRANTS', 'AUDIENCES', 'SCOPES', 'STATE'],
              clients.map((one) => [
                one.client_id,
                one.client_name,
                one.grant_types.join(' '),
                one.audiences.join(' '),
                one.scope,
                state(one),
              ]),
            ),
      );
    });

  withClientOptions(commandOn('update', 'change a client; lists that are given replace the old ones'))
    .option('--name <name>', 'its name, for people', once(nameArgument))
    .action(async (id: string, options: ClientOptions) => {
      const values = toClientValues(options);
      if (Object.keys(values).length === 0) throw mistake('nothing to change: see keyturn client update --help');
      show(options, await withDatabase((context) => updateClient(context, id, values)));
    });

  commandOn('disable', 'refuse the client from now on; its grants end, and its access tokens are void')
    .option('--json', 'print JSON')
    .action(async (id: string, options: ClientOptions) => {
      show(options, await withDatabase((context) => disable(context, id)));
    });

  commandOn('enable', 'accept a disabled client again; people have to sign in to it anew')
    .option('--json', 'print JSON')
    .action(async (id: string, options: ClientOptions) => {
      show(options, await withDatabase((context) => enable(context, id)));
    });

  commandOn('rotate-secret', 'give the client a new secret, shown once')
    .option(
      '--overlap <seconds>',
      'how long the old secret stays good (0 if not given)',
      once(secondsArgument(0, longestOverlap)),
    )
    .option('--revoke', 'end all its grants and void its access tokens too: somebody else had the secret')
    .option('--json', 'print JSON')
    .action(async (id: string, options: ClientOptions) => {
      const updated = await withDatabase((context) => rotateSecret(context, id, options));
      const until = updated.previous_secret_expires_at;
      showWithSecret(options, updated, [
        until === null ? 'The secret before it is void.' : `The secret before it stays good until ${instant(until)}.`,
        ...(options.revoke ? ['All grants have ended, and access tokens from before are void.'] : []),
      ]);
    });
}

function show(options: ClientOptions, client: ClientDocument): void {
  print(options.json, client, () => facts(toWords(client)));
}

/** A public client has none to show. */
function showWithSecret(options: ClientOptions, shown: ClientWithSecret, remarks: string[] = []): void {
  const { client_id, client_secret, ...rest } = shown;
  if (client_secret === null) {
    show(options, { client_id, ...rest });
    return;
  }
  print(options.json, { client_id, client_secret, ...rest }, () =>
    [
      facts({ client_id, client_secret }),
      '',
      'Keep the secret now: it is not stored and cannot be shown again.',
      ...remarks,
    ].join('\n'),
  );
}

function toWords(client: ClientDocument): Record<string, string> {
  const lists: Record<string, readonly string[]> = {
    grants: client.grant_types,
    audiences: client.audiences,
    scopes: client.scope.split(' ').filter(Boolean),
    'returns to': client.redirect_uris,
    origins: client.origins,
    serves: client.serves,
  };
  const given = Object.entries(lists).filter(([, list]) => list.length > 0);
  const { token_endpoint_auth_method: method } = client;
  return {
    client_id: client.client_id,
    name: client.client_name,
    ...Object.fromEntries(given.map(([name, list]) => [name, list.join(' ')])),
    authenticates: method === 'none' ? 'not: it is public' : method,
    state: state(client),
  };
}

function state({ disabled_at }: ClientDocument): string {
  return disabled_at === null ? 'enabled' : `disabled since ${instant(disabled_at)}`;
}
