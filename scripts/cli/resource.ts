import type { Command } from 'commander';
import {
  addResource,
  listResources,
  type ResourceDocument,
  type ResourceValues,
  updateResource,
} from '../../src/admin/resources.ts';
import { longestAccessTtl } from '../../src/admin/values.ts';
import { algArgument, audienceArgument, describedScopeArgument, each, once, secondsArgument } from './arguments.ts';
import { everything, withDatabase } from './context.ts';
import { mistake } from './failure.ts';
import { durationInWords, facts, print, table } from './output.ts';

interface ResourceOptions {
  scope?: [string, string][];
  alg?: string;
  accessTtl?: number;
  json?: true;
}

export function addResourceCommands(program: Command): void {
  const resource = program.command('resource').description('resource services: the audiences of access tokens');

  withOptions(resource.command('add').description('add a resource service'))
    .argument('<audience-uri>', 'its identifier, the aud of its tokens', audienceArgument)
    .action(async (audience: string, options: ResourceOptions) => {
      const { resource, added } = await withDatabase((context) => addResource(context, audience, valuesOf(options)));
      if (!added) throw mistake(`${audience} is there already: change it with keyturn resource update`);
      show(options, resource);
    });

  resource
    .command('list')
    .description('list the resource services')
    .option('--json', 'print JSON')
    .action(async (options: ResourceOptions) => {
      const resources = await withDatabase((context) => everything((asked) => listResources(context, asked)));
      print(options.json, resources, () =>
        resources.length === 0
          ? 'no resource services yet: keyturn resource add <audience-uri> --scope <scope>'
          : table(
              ['AUDIENCE', 'ALG', 'ACCESS TOKENS LIVE', 'SCOPES'],
              resources.map((one) => [one.audience, one.alg, ttl(one), Object.keys(one.scopes).join(' ')]),
            ),
      );
    });

  withOptions(resource.command('update').description('change a resource service; --scope replaces all its scopes'))
    .argument('<audience-uri>', 'its identifier', audienceArgument)
    .action(async (audience: string, options: ResourceOptions) => {
      const values = valuesOf(options);
      if (Object.keys(values).length === 0) throw mistake('nothing to change: give --scope, --alg or --access-ttl');
      show(options, await withDatabase((context) => updateResource(context, audience, values)));
    });
}

function valuesOf({ scope, alg, accessTtl }: ResourceOptions): ResourceValues {
  return {
    ...(scope !== undefined && { scopes: Object.fromEntries(scope) }),
    ...(alg !== undefined && { alg }),
    ...(accessTtl !== undefined && { access_ttl: accessTtl }),
  };
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

function show(options: ResourceOptions, resource: ResourceDocument): void {
  print(options.json, resource, () =>
    facts({
      audience: resource.audience,
      scopes: Object.keys(resource.scopes).join(' ') || 'none',
      alg: resource.alg,
      'access tokens live': ttl(resource),
    }),
  );
}

function ttl({ access_ttl }: ResourceDocument): string {
  return access_ttl === null ? 'ACCESS_TOKEN_TTL' : durationInWords(access_ttl);
}
