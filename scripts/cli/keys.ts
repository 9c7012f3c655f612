import type { Command } from 'commander';
import { rotateByHand } from '../../src/keys/administration.ts';
import { stopsSigningAt } from '../../src/keys/lifecycle.ts';
import type { NumericDate } from '../../src/protocol/time.ts';
import type { Database } from '../../src/store/database.ts';
import { countGrantsRedeemed } from '../../src/store/grant.ts';
import { listSigningKeys } from '../../src/store/signing-key.ts';
import { refreshTokenAlg } from '../../src/tokens/mint.ts';
import { algArgument, nameArgument, once } from './arguments.ts';
import { withDatabase } from './context.ts';
import { Failure, mistake } from './failure.ts';
import { addSealCommands } from './key-seals.ts';
import { lifeDocument, livesByAlg, livesInWords, rotationDocument, rotationInWords } from './key-words.ts';
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
      const algs = options.alg === undefined ? {} : { algs: [options.alg] };
      const [immediately, dryRun] = [options.now === true, options.dryRun === true];
      await withDatabase(async ({ database, schedule }) => {
        const outcomes = await rotateByHand(database, { ...algs, immediately, dryRun, schedule });
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
    .description('withdraw a key that others may hold, with all it has signed; the standby signs at once')
    .argument('<kid>')
    .option('--reason <text>', 'why, for whoever looks at the table of revocations', once(nameArgument))
    .option('--json', 'print JSON')
    .action(async (kid: string, options: KeyOptions) => {
      await withDatabase(async ({ database, config, revoker, now, schedule }) => {
        const grants = await countGrantsOf(database, kid, now);
        if (grants > 0 && !options.json) {
          process.stdout.write(`About ${grants} refresh tokens are signed by it: who has one signs in again.\n`);
        }
        const revocation = await revoker.revokeKey(kid, schedule, options.reason ?? 'by command');
        if (revocation === undefined) throw mistake('there is no key of that kid: see keyturn keys list');
        const { already, successor = null } = revocation;
        print(options.json, { kid, already_revoked: already, successor, refresh_tokens: grants }, () =>
          already
            ? `${kid} was revoked before; nothing was done.`
            : [
                `${kid} is revoked: it no longer signs, and the JWKS no longer shows it.`,
                ...(successor === null ? [] : [`${successor} signs from now on.`]),
                ...(revocation.leaderless
                  ? ['There was no standby: a running server makes a new key within seconds, which no cache knows yet.']
                  : []),
                'Services that read the revocation feed refuse what it has signed at once; others when they have fetched',
                `the JWKS anew: within ${durationInWords(config.jwksMaxAge)}.`,
              ].join('\n'),
        );
      });
    });

  addSealCommands(keys);
}

/** About how many grants end with a key that is not revoked yet: those whose refresh token it has signed. */
async function countGrantsOf(database: Database, kid: string, now: NumericDate): Promise<number> {
  const keys = await listSigningKeys(database);
  const key = keys.find((one) => one.kid === kid);
  if (key?.alg !== refreshTokenAlg || key.revokedAt !== null) return 0;
  const until = stopsSigningAt(
    key,
    keys.filter(({ alg }) => alg === key.alg),
  );
  return countGrantsRedeemed(database, key.signsFrom, until ?? now + 1, now);
}
