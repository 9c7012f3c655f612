import type { Command } from 'commander';
import { digestSecret, newId, newSecret } from '../../src/crypto/handle.ts';
import { type Client, clientDefaults, disableClient, endClientGrants } from '../../src/protocol/client.ts';
import { addClient, type ClientChange, listClients } from '../../src/store/client.ts';
import type { Database } from '../../src/store/database.ts';
import { listResources } from '../../src/store/resource.ts';
import { nameArgument, once, secondsArgument } from './arguments.ts';
import { type ClientOptions, requireConsistent, toClientChange, withClientOptions } from './client-options.ts';
import { type Context, withDatabase } from './context.ts';
import { mistake } from './failure.ts';
import { facts, instant, print, table } from './output.ts';

/** How many clients a list reads at a time. */
const pageSize = 500;

const longestOverlap = 30 * 86_400;

export function addClientCommands(program: Command): void {
  const client = program.command('client').description('OAuth clients: the applications that ask for tokens');

  withClientOptions(client.command('add').description('add a client; its secret is shown once'))
    .argument('<name>', 'its name, for people', nameArgument)
    .action(async (name: string, options: ClientOptions) => {
      if (options.grant === undefined) throw mistake('a client needs a grant type: give --grant');
      const secret = newSecret('ktcs');
      const described = { ...clientDefaults, id: newId('client'), name, ...toClientChange(options) };
      const secretDigests = described.authMethod === 'none' ? [] : [digestSecret(secret)];
      const added: Client = { ...described, secretDigests };
      await withDatabase(async (context) => {
        await requireConsistentWith(context, added);
        await addClient(context.database, added);
      });
      if (added.authMethod === 'none') show(options, added);
      else showWithSecret(options, added, secret);
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

  withClientOptions(client.command('update').description('change a client; lists that are given replace the old ones'))
    .argument('<client-id>')
    .option('--name <name>', 'its name, for people', once(nameArgument))
    .action(async (id: string, options: ClientOptions) => {
      const change = toClientChange(options);
      if (Object.keys(change).length === 0) throw mistake('nothing to change: see keyturn client update --help');
      show(
        options,
        await update(id, async (before, context) => {
          const after = { ...before, ...change };
          if (after.authMethod !== 'none' && after.secretDigests.length === 0) {
            throw mistake('the client has no secret: add a new one instead of changing how it authenticates');
          }
          await requireConsistentWith(context, after);
          return after;
        }),
      );
    });

  client
    .command('disable')
    .description('refuse the client from now on; its grants end, and its access tokens are void')
    .argument('<client-id>')
    .option('--json', 'print JSON')
    .action(async (id: string, options: ClientOptions) => {
      show(options, await update(id, async (before, { now }) => disableClient(before, now)));
    });

  client
    .command('enable')
    .description('accept a disabled client again; people have to sign in to it anew')
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
    .option('--revoke', 'end all its grants and void its access tokens too: somebody else had the secret')
    .option('--json', 'print JSON')
    .action(async (id: string, options: ClientOptions) => {
      const secret = newSecret('ktcs');
      const overlap = options.overlap ?? 0;
      if (options.revoke && overlap > 0)
        throw mistake('--revoke goes with no --overlap: the old secret is not to be trusted');
      const updated = await update(id, async (before, { now }) => {
        if (before.authMethod === 'none') throw mistake('a public client has no secret');
        return {
          secretDigests: [digestSecret(secret), ...before.secretDigests.slice(0, overlap > 0 ? 1 : 0)],
          previousSecretExpiresAt: overlap > 0 ? now + overlap : null,
          ...(options.revoke && endClientGrants(before)),
        };
      });
      const until = updated.previousSecretExpiresAt;
      showWithSecret(options, updated, secret, [
        until === null ? 'The secret before it is void.' : `The secret before it stays good until ${instant(until)}.`,
        ...(options.revoke ? ['All grants have ended, and access tokens from before are void.'] : []),
      ]);
    });
}

/** The one way by which a command changes a client. */
async function update(
  id: string,
  decide: (before: Client, context: Context) => Promise<ClientChange>,
): Promise<Client> {
  return withDatabase(async (context) => {
    const updated = await context.revoker.changeClient(id, (before) => decide(before, context), 'by command');
    if (updated === undefined) throw mistake(`there is no client ${JSON.stringify(id)}: see keyturn client list`);
    return updated;
  });
}

async function requireConsistentWith({ database, config }: Context, client: Client): Promise<void> {
  const resources = await listResources(database);
  requireConsistent(client, new Map(resources.map((resource) => [resource.identifier, resource])), config.issuer);
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
  const lists: Record<string, readonly string[]> = {
    grants: client.grantTypes,
    audiences: client.resources,
    scopes: client.scopes,
    'returns to': client.redirectUris,
    origins: client.origins,
    serves: client.serves,
  };
  const given = Object.entries(lists).filter(([, list]) => list.length > 0);
  return {
    client_id: client.id,
    name: client.name,
    ...Object.fromEntries(given.map(([name, list]) => [name, list.join(' ')])),
    authenticates: client.authMethod === 'none' ? 'not: it is public' : client.authMethod,
    state: client.disabledAt === null ? 'enabled' : `disabled since ${instant(client.disabledAt)}`,
  };
}

/** In the words of client metadata (RFC 7591 §2, OpenID Connect) where it has them. */
function toDocument(client: Client): { client_id: string } & Record<string, unknown> {
  return {
    client_id: client.id,
    client_name: client.name,
    grant_types: client.grantTypes,
    audiences: client.resources,
    scope: client.scopes.join(' '),
    redirect_uris: client.redirectUris,
    post_logout_redirect_uris: client.postLogoutRedirectUris,
    backchannel_logout_uri: client.backchannelLogoutUri,
    origins: client.origins,
    serves: client.serves,
    token_endpoint_auth_method: client.authMethod,
    id_token_signed_response_alg: client.idTokenAlg,
    pkce_required: client.pkceRequired,
    refresh_rotates: client.refreshRotates,
    skip_consent: client.skipConsent,
    first_party: client.firstParty,
    cookie_domain: client.cookieDomain,
    previous_secret_expires_at: client.previousSecretExpiresAt,
    disabled_at: client.disabledAt,
  };
}
