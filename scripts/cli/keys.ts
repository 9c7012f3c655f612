import type { Command } from 'commander';
import { algorithms } from '../../src/crypto/algorithms.ts';
import { revokeKey, rotateByHand } from '../../src/keys/administration.ts';
import { listSigningKeys } from '../../src/store/signing-key.ts';
import { algArgument, once } from './arguments.ts';
import { withDatabase } from './context.ts';
import { Failure, mistake } from './failure.ts';
import { lifeDocument, livesByAlg, livesInWords, rotationDocument, rotationInWords } from './key-words.ts';
import { durationInWords, instant, print } from './output.ts';

interface KeyOptions {
  now?: true;
  alg?: string;
  dryRun?: true;
  json?: true;
}

export function addKeyCommands(program: Command): void {
  const keys = program.command('keys').description('signing keys');

  keys
    .command('list')
    .description('show each key with its phase and the times of its life')
    .option('--json', 'print JSON')
    .action(async (options: KeyOptions) => {
      await withDatabase(async ({ database, now, schedule }) => {
        const algs = livesByAlg(await listSigningKeys(database), now, schedule);
        const documents = algs.flatMap(([, lives]) => lives.map(lifeDocument));
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
      const algs = options.alg === undefined ? [...algorithms.keys()] : [options.alg];
      const [immediately, dryRun] = [options.now === true, options.dryRun === true];
      await withDatabase(async ({ database, schedule }) => {
        const outcomes = await rotateByHand(database, { algs, immediately, dryRun, schedule });
        print(options.json, outcomes.map(rotationDocument), () =>
          outcomes.map((outcome) => rotationInWords(outcome, options, schedule)).join('\n\n'),
        );
        if (outcomes.some(({ standby }) => standby === undefined)) {
          throw new Failure(1, 'no standby is published yet: a running server makes one within seconds; try again');
        }
      });
    });

  keys
    .command('revoke')
    .description('withdraw a key that others may hold: it leaves the JWKS, and the standby signs at once')
    .argument('<kid>')
    .option('--json', 'print JSON')
    .action(async (kid: string, options: KeyOptions) => {
      await withDatabase(async ({ database, config, now, schedule }) => {
        const revocation = await revokeKey(database, kid, now, schedule);
        if (revocation === undefined) throw mistake('there is no key of that kid: see keyturn keys list');
        const { already, successor = null } = revocation;
        print(options.json, { kid, already_revoked: already, successor }, () =>
          already
            ? `${kid} was revoked before; nothing was done.`
            : [
                `${kid} is revoked: it no longer signs, and the JWKS no longer shows it.`,
                ...(successor === null ? [] : [`${successor} signs from now on.`]),
                `Verifiers refuse its tokens once they have fetched the JWKS anew: within ${durationInWords(config.jwksMaxAge)}.`,
              ].join('\n'),
        );
      });
    });
}
