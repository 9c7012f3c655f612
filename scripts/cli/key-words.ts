/** How the life of keys is told to people. */
import type { readKeyLives } from '../../src/admin/keys.ts';
import type { RotationOutcome } from '../../src/keys/administration.ts';
import type { Schedule } from '../../src/keys/lifecycle.ts';
import type { KeyLife, Moment } from '../../src/keys/timeline.ts';
import type { SigningKey } from '../../src/protocol/signing-key.ts';
import type { NumericDate } from '../../src/protocol/time.ts';
import { fromNow, instant, paint, when } from './output.ts';

const meanings: Record<Moment['what'], string> = {
  published: 'in the JWKS, for caches to learn of it',
  signs: 'signs',
  retired: 'signs no more; published until its last token has expired',
  erased: 'private half erased',
  withdrawn: 'out of the JWKS',
  revoked: 'revoked: neither signs nor is published',
  forgotten: 'row removed',
};

/** Each key with the moments of its life, one a line; an arrow says where it is now. */
export function livesInWords(algs: Awaited<ReturnType<typeof readKeyLives>>, now: NumericDate): string {
  return algs
    .map(([alg, lives]) => [paint('bold', alg), ...lives.map((life) => lifeInWords(life, now))].join('\n\n'))
    .join('\n\n');
}

function lifeInWords({ key, phase, moments }: KeyLife<SigningKey>, now: NumericDate): string {
  const colour = phase === 'signing' ? 'green' : phase === 'standby' ? 'cyan' : phase === 'revoked' ? 'red' : 'dim';
  const current = moments.findLast(({ at }) => at <= now);
  const lines = moments.map((moment) => {
    const distance = fromNow(moment.at, now).padEnd(14);
    const line = `${moment === current ? '▸' : ' '} ${instant(moment.at)}  ${distance}  ${meanings[moment.what]}`;
    return `    ${moment === current ? paint(colour, line) : paint('dim', line)}`;
  });
  return [`  ${paint(colour, phase.padEnd(9))}  ${key.kid}`, ...lines].join('\n');
}

/** What a rotation by hand does, or would do: each thing with its instant. */
export function rotationInWords(
  outcome: RotationOutcome,
  options: { now?: true; dryRun?: true },
  schedule: Schedule,
): string {
  const { alg, signer, standby, signsFrom, changed, decidedAt: now } = outcome;
  if (standby === undefined || signsFrom === undefined) return `${alg}: no standby is published`;
  const may = options.dryRun ? 'would start' : 'starts';
  const known = standby.createdAt + schedule.lead;
  const starts = Math.max(signsFrom, now);
  const at = (instantOf: NumericDate) => when(instantOf, now);
  const lines = [
    `${alg}: ${standby.kid} ${signsFrom <= now ? `${may} to sign now` : `${may} to sign at ${at(starts)}`}`,
  ];
  if (!changed) lines.push('  as it was already going to; nothing was changed');
  lines.push(`  published since ${at(standby.createdAt)}`);
  if (options.now && now < known) {
    lines.push(`  some caches may hold a JWKS without it until ${at(known)}; their verifiers fetch it anew or refuse`);
  } else if (signsFrom === known) {
    lines.push('  not sooner, because until then some cache may hold a JWKS without it');
  }
  if (signer !== undefined) {
    lines.push(
      `  ${signer.kid} signs until then`,
      `    its private half is erased at ${at(starts + schedule.poll + schedule.skew)}`,
      `    it is published until ${at(starts + schedule.keepPublished)}, when its last token has expired`,
      `    its row is kept until ${at(starts + schedule.keepRow)}`,
    );
  }
  lines.push(
    `  a new standby is published then, to sign from ${at(starts + Math.max(schedule.lead, schedule.signFor))}`,
  );
  return lines.join('\n');
}
