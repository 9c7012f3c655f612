import type { Command } from 'commander';
import { algorithm, defaultAlg } from '../../src/crypto/algorithms.ts';
import { signerOf, standbyOf } from '../../src/keys/lifecycle.ts';
import type { Resource } from '../../src/protocol/client.ts';
import { addResource, listResources, updateResource } from '../../src/store/resource.ts';
import { listSigningKeys } from '../../src/store/signing-key.ts';
import { algArgument, audienceArgument, describedScopeArgument, each, once, secondsArgument } from './arguments.ts';
import { type Context, withDatabase } from './context.ts';
import { Failure, mistake } from './failure.ts';
import { durationInWords, facts, print, table, when } from './output.ts';

interface ResourceOptions {
  scope?: [string, string][];
  alg?: string;
  accessTtl?: number;
  json?: true;
}

/** The longest life that a resource service may ask for: keys and revocations are kept for as long. */
const longestAccessTtl = 86_400;

export function addResourceCommands(program: Command): void {
  const resource = program.command('resource').description('resource services: the audiences of access tokens');

  withOptions(resource.command('add').description('add a resource service'))
    .argument('<audience-uri>', 'its identifier, the aud of its tokens', audienceArgument)
    .action(async (identifier: string, options: ResourceOptions) => {
      const added: Resource = {
        identifier,
        scopes: Object.fromEntries(options.scope ?? []),
        alg: options.alg ?? defaultAlg,
        accessTtl: options.accessTtl ?? null,
      };
      await withDatabase(async (context) => {
        const { database } = context;
        await requireSigner(context, added.alg);
        if (!(await addResource(database, added))) {
          throw mistake(`${identifier} is there already: change it with keyturn resource update`);
        }
      });
      show(options, added);
    });

  resource
    .command('list')
    .description('list the resource services')
    .option('--json', 'print JSON')
    .action(async (options: ResourceOptions) => {
      const resources = await withDatabase(({ database }) => listResources(database));
      print(options.json, resources.map(toDocument), () =>
        resources.length === 0
          ? 'no resource services yet: keyturn resource add <audience-uri> --scope <scope>'
          : table(
              ['AUDIENCE', 'ALG', 'ACCESS TOKENS LIVE', 'SCOPES'],
              resources.map((one) => [one.identifier, one.alg, ttl(one), Object.keys(one.scopes).join(' ')]),
            ),
      );
    });

  withOptions(resource.command('update').description('change a resource service; --scope replaces all its scopes'))
    .argument('<audience-uri>', 'its identifier', audienceArgument)
    .action(async (identifier: string, { scope, alg, accessTtl, json }: ResourceOptions) => {
      const values = {
        ...(scope !== undefined && { scopes: Object.fromEntries(scope) }),
        ...(alg !== undefined && { alg }),
        ...(accessTtl !== undefined && { accessTtl }),
      };
      if (Object.keys(values).length === 0) throw mistake('nothing to change: give --scope, --alg or --access-ttl');
      const updated = await withDatabase(async (context) => {
        if (alg !== undefined) await requireSigner(context, alg);
        return updateResource(context.database, identifier, values);
      });
      if (updated === undefined) throw mistake(`there is no resource service ${identifier}`);
      show({ ...(json && { json }) }, updated);
    });
}

/** No token is to be refused since caches do not know the first key of an algorithm, or because there is none. */
async function requireSigner({ database, now }: Context, alg: string): Promise<void> {
  if (algorithm(alg).always) return;
  const ofAlg = (await listSigningKeys(database)).filter((key) => key.alg === alg);
  if (signerOf(ofAlg, now) !== undefined) return;
  const first = standbyOf(ofAlg, now);
  if (first === undefined) throw mistake(`${alg} has no keys yet: keyturn keys add-algorithm ${alg}`);
  throw new Failure(
    1,
    `no ${alg} key signs yet: the first one does from ${when(first.signsFrom, now)}; try again then`,
  );
}

function withOptions(command: Command): Command {
  return command
    .option(
      '--scope <scope>',
      'a scope it knows, perhaps with =what it means to a person; repeatable',
      each(describedScopeArgument, ([token]) => token),
    )
    .option('--alg <alg>', 'the algorithm that signs its access tokens (ES256 if not given)', once(algArgument))
    .option(
      '--access-ttl <seconds>',
      'life of its access tokens (ACCESS_TOKEN_TTL if not given)',
      once(secondsArgument(10, longestAccessTtl)),
    )
    .option('--json', 'print JSON');
}

function show(options: ResourceOptions, resource: Resource): void {
  print(options.json, toDocument(resource), () =>
    facts({
      audience: resource.identifier,
      scopes: Object.keys(resource.scopes).join(' ') || 'none',
      alg: resource.alg,
      'access tokens live': ttl(resource),
    }),
  );
}

function ttl({ accessTtl }: Resource): string {
  return accessTtl === null ? 'ACCESS_TOKEN_TTL' : durationInWords(accessTtl);
}

function toDocument(resource: Resource): object {
  return { audience: resource.identifier, scopes: resource.scopes, alg: resource.alg, access_ttl: resource.accessTtl };
}
