import type { Command } from 'commander';
import {
  countGrantsOf,
  keyDocument,
  readKeyLives,
  requireStandbys,
  revokeKey,
  rotateKeys,
  rotationDocument,
} from '../../src/admin/keys.ts';
import { algArgument, nameArgument, once } from './arguments.ts';
import { withDatabase } from './context.ts';
import { addSealCommands } from './key-seals.ts';
import { livesInWords, rotationInWords } from './key-words.ts';
import { durationInWords, instant, print } from './output.ts';

interface KeyOptions {
  now?: true;
  alg?: string;
  dryRun?: true;
  reason?: string;
  json?: true;
}

export function addKeyCommands(program: Command): void {
  const keys = program.command('keys').description('signing keys');

  keys
    .command('list')
    .description('show each key with its phase and the times of its life')
    .option('--json', 'print JSON')
    .action(async (options: KeyOptions) => {
      await withDatabase(async (context) => {
        const { now } = context;
        const algs = await readKeyLives(context);
        const documents = algs.flatMap(([, lives]) => lives.map(keyDocument));
        print(options.json, documents, () =>
          algs.length === 0
            ? 'no keys yet: a running server makes them'
            : `now ${instant(now)}\n\n${livesInWords(algs, now)}`,
        );
      });
    });

  keys
    .command('rotate')
    .description('let the published standby sign: as soon as every cache must know it')
    .option('--now', 'at once, whatever caches may hold')
    .option('--alg <alg>', 'only the keys of this algorithm', once(algArgument))
    .option('--dry-run', 'say what would happen and do nothing')
    .option('--json', 'print JSON')
    .action(async (options: KeyOptions) => {
      const asked = { alg: options.alg, immediately: options.now === true, dryRun: options.dryRun === true };
      await withDatabase(async (context) => {
        const outcomes = await rotateKeys(context, asked);
        print(options.json, outcomes.map(rotationDocument), () =>
          outcomes.map((outcome) => rotationInWords(outcome, options, context.schedule)).join('\n\n'),
        );
        requireStandbys(outcomes);
      });
    });

  keys
    .command('revoke')
    .description('withdraw a key that others may hold, with all it has signed; the standby signs at once')
    .argument('<kid>')
    .option('--reason <text>', 'why, for whoever looks at the table of revocations', once(nameArgument))
    .option('--json', 'print JSON')
    .action(async (kid: string, options: KeyOptions) => {
      await withDatabase(async (context) => {
        const grants = await countGrantsOf(context, kid);
        if (grants > 0 && !options.json) {
          process.stdout.write(`About ${grants} refresh tokens are signed by it: who has one signs in again.\n`);
        }
        const revocation = await revokeKey(context, kid, options.reason);
        const { already_revoked, successor, leaderless } = revocation;
        print(options.json, { kid, already_revoked, successor, refresh_tokens: grants }, () =>
          already_revoked
            ? `${kid} was revoked before; nothing was done.`
            : [
                `${kid} is revoked: it no longer signs, and the JWKS no longer shows it.`,
                ...(successor === null ? [] : [`${successor} signs from now on.`]),
                ...(leaderless
                  ? ['There was no standby: a running server makes a new key within seconds, which no cache knows yet.']
                  : []),
                'Services that read the revocation feed refuse what it has signed at once; others when they have fetched',
                `the JWKS anew: within ${durationInWords(context.config.jwksMaxAge)}.`,
              ].join('\n'),
        );
      });
    });

  addSealCommands(keys);
}
