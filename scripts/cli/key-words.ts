/** How the life of keys is told to people. */
import { algorithms } from '../../src/crypto/algorithms.ts';
import { sealedUnder } from '../../src/crypto/sealing.ts';
import type { RotationOutcome } from '../../src/keys/administration.ts';
import type { Schedule } from '../../src/keys/lifecycle.ts';
import { type KeyLife, livesOf, type Moment } from '../../src/keys/timeline.ts';
import type { SigningKey } from '../../src/protocol/signing-key.ts';
import type { NumericDate } from '../../src/protocol/time.ts';
import { fromNow, instant, paint, when } from './output.ts';

/** The lives of all keys by algorithm, in the order of the table of algorithms. */
export function livesByAlg(
  keys: readonly SigningKey[],
  now: NumericDate,
  schedule: Schedule,
): [alg: string, lives: KeyLife<SigningKey>[]][] {
  return [...algorithms.keys()].flatMap((alg): [string, KeyLife<SigningKey>[]][] => {
    const ofAlg = keys.filter((key) => key.alg === alg);
    return ofAlg.length === 0 ? [] : [[alg, livesOf(ofAlg, now, schedule)]];
  });
}

/** What `keys list --json` says of a key. Instants are numeric dates; null: not in sight. */
export function lifeDocument({ key, phase, moments }: KeyLife<SigningKey>): object {
  const at = (...whats: Moment['what'][]) => moments.find(({ what }) => whats.includes(what))?.at ?? null;
  return {
    kid: key.kid,
    alg: key.alg,
    phase,
    published_from: key.createdAt,
    signs_from: key.signsFrom,
    signs_until: at('retired', 'revoked'),
    published_until: at('withdrawn', 'revoked'),
    forgotten_from: at('forgotten'),
    sealed_under: key.sealedPrivateJwk === null ? null : sealedUnder(key.sealedPrivateJwk),
  };
}

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
export function livesInWords(algs: ReturnType<typeof livesByAlg>, now: NumericDate): string {
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

/** What `keys rotate --json` says of an algorithm. */
export function rotationDocument({ alg, signer, standby, signsFrom, changed }: RotationOutcome): object {
  return { alg, signer: signer?.kid ?? null, standby: standby?.kid ?? null, signs_from: signsFrom ?? null, changed };
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
