import type { Command } from 'commander';
import { algorithms } from '../../src/crypto/algorithms.ts';
import { type RotationOutcome, revokeKey, rotateByHand } from '../../src/keys/administration.ts';
import { phaseOf, type Schedule, stopsSigningAt } from '../../src/keys/lifecycle.ts';
import type { SigningKey } from '../../src/protocol/signing-key.ts';
import type { NumericDate } from '../../src/protocol/time.ts';
import { listSigningKeys } from '../../src/store/signing-key.ts';
import { algArgument, once } from './arguments.ts';
import { withDatabase } from './context.ts';
import { Failure, mistake } from './failure.ts';
import { durationInWords, fromNow, instant, print, table, when } from './output.ts';

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
    .description('show each key with its phase and times')
    .option('--json', 'print JSON')
    .action(async (options: KeyOptions) => {
      await withDatabase(async ({ database, now, schedule }) => {
        const rows = (await listSigningKeys(database)).sort((a, b) => order(a) - order(b) || b.signsFrom - a.signsFrom);
        const lives = rows.map((key) => lifeOf(key, rows, now, schedule));
        print(options.json, lives, () => listInWords(lives, now));
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
      await withDatabase(async ({ database, now, schedule }) => {
        const outcomes = await rotateByHand(database, { algs, immediately, dryRun, now, schedule });
        print(options.json, outcomes.map(rotationDocument), () =>
          outcomes.map((outcome) => rotationInWords(outcome, options, now, schedule)).join('\n\n'),
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

/** What `keys list` says of a key. Instants are numeric dates; null: not in sight. */
interface KeyLife {
  kid: string;
  alg: string;
  phase: string;
  published_from: NumericDate;
  signs_from: NumericDate;
  signs_until: NumericDate | null;
  published_until: NumericDate | null;
}

function lifeOf(key: SigningKey, all: readonly SigningKey[], now: NumericDate, schedule: Schedule): KeyLife {
  const ofAlg = all.filter(({ alg }) => alg === key.alg);
  const until = stopsSigningAt(key, ofAlg);
  const lasts = key.revokedAt === null ? schedule.keepPublished : 0;
  return {
    kid: key.kid,
    alg: key.alg,
    phase: phaseOf(key, ofAlg, now, schedule),
    published_from: key.createdAt,
    signs_from: key.signsFrom,
    signs_until: until,
    published_until: until === null ? null : until + lasts,
  };
}

function listInWords(lives: readonly KeyLife[], now: NumericDate): string {
  if (lives.length === 0) return 'no keys yet: a running server makes them';
  const at = (instantOrNull: NumericDate | null) => (instantOrNull === null ? '-' : instant(instantOrNull));
  const rows = lives.map(({ alg, phase, signs_from, signs_until, published_until, kid }) => {
    const next = phase === 'standby' ? `standby, signs ${fromNow(signs_from, now)}` : phase;
    return [alg, next, at(signs_from), at(signs_until), at(published_until), kid];
  });
  return table(['ALG', 'PHASE', 'SIGNS FROM', 'SIGNS UNTIL', 'PUBLISHED UNTIL', 'KID'], rows);
}

function rotationDocument({ alg, signer, standby, signsFrom, changed }: RotationOutcome): object {
  return { alg, signer: signer?.kid ?? null, standby: standby?.kid ?? null, signs_from: signsFrom ?? null, changed };
}

function rotationInWords(outcome: RotationOutcome, options: KeyOptions, now: NumericDate, schedule: Schedule): string {
  const { alg, signer, standby, signsFrom, changed } = outcome;
  if (standby === undefined || signsFrom === undefined) return `${alg}: no standby is published`;
  const may = options.dryRun ? 'would start' : 'starts';
  const known = standby.createdAt + schedule.lead;
  const lines = [
    `${alg}: ${standby.kid} ${signsFrom <= now ? `${may} to sign now` : `${may} to sign at ${when(signsFrom, now)}`}`,
  ];
  if (!changed) lines.push('  as it was already going to; nothing was changed');
  lines.push(`  published since ${when(standby.createdAt, now)}`);
  if (options.now && now < known) {
    lines.push(
      `  some caches may hold a JWKS without it until ${when(known, now)}; their verifiers fetch it anew or refuse`,
    );
  } else if (signsFrom === known) {
    lines.push(`  not sooner, because until then some cache may hold a JWKS without it`);
  }
  if (signer !== undefined) {
    const until = Math.max(signsFrom, now) + schedule.keepPublished;
    lines.push(`  ${signer.kid} signs until then, and is published until ${when(until, now)}`);
  }
  return lines.join('\n');
}

function order({ alg }: SigningKey): number {
  return [...algorithms.keys()].indexOf(alg);
}
