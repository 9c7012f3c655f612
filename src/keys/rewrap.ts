/**
 * Moves what is sealed to another key-encryption key, row by row: killed at any point it leaves rows under one or the
 * other, each of which opens, and who runs it again goes on. Instances may run meanwhile.
 */
import { seal, sealedUnder, unseal } from '../crypto/sealing.ts';
import type { NumericDate } from '../protocol/time.ts';
import type { Database } from '../store/database.ts';
import { listSealedInteractions, removeSealedInteractions, resealInteraction } from '../store/interaction.ts';
import { readIssuerState, setSealingKey } from '../store/issuer.ts';
import { changeSigningKeys, listSigningKeys, resealSigningKey } from '../store/signing-key.ts';
import type { KeyEncryptionKeys } from './key-encryption-keys.ts';

/**
 * Seals anew, with the key-encryption key that the database names, whatever is under another one that is held here.
 * A row that somebody changes meanwhile is left to them. Answers how many were moved.
 */
export async function reseal(database: Database, held: KeyEncryptionKeys): Promise<number> {
  const { sealingKey } = await readIssuerState(database);
  if (sealingKey === null) return 0;
  const target = held.get(sealingKey);
  const ids = held.ids();
  const movable = (sealed: string) => sealedUnder(sealed) !== target.id && ids.includes(sealedUnder(sealed));
  const anew = async (sealed: string) => seal(await unseal(sealed, held.get(sealedUnder(sealed))), target);

  let moved = 0;
  for (const { kid, sealedPrivateJwk } of await listSigningKeys(database)) {
    if (sealedPrivateJwk === null || !movable(sealedPrivateJwk)) continue;
    if (await resealSigningKey(database, kid, sealedPrivateJwk, await anew(sealedPrivateJwk))) moved += 1;
  }
  for (const { id, request } of await listSealedInteractions(database)) {
    if (movable(request) && (await resealInteraction(database, id, request, await anew(request)))) moved += 1;
  }
  return moved;
}

/** What giving up a key-encryption key led to. */
export interface GivenUp {
  /** Keys that signed, or had signed: they stay published until their last token has expired. */
  readonly erased: readonly string[];
  /** Standbys: of no use, as they never can sign. */
  readonly removed: readonly string[];
  readonly interactions: number;
}

/**
 * Gives up what is sealed under a key-encryption key that nobody has any more: private halves are erased, so that the
 * rotator makes new keys, and sign-ins under way are over. Where that key was to seal, the next server to start makes
 * another one, unless something is sealed under one that is left.
 */
export async function giveUp(database: Database, lost: string, now: NumericDate): Promise<GivenUp> {
  const given = await changeSigningKeys(database, async (keys, write, tx, changed, audited) => {
    const sealed = keys.filter((key) => key.sealedPrivateJwk !== null);
    const under = (id: string) => sealed.filter((key) => sealedUnder(key.sealedPrivateJwk ?? '') === id);
    const removed = under(lost).filter((key) => key.signsFrom > now);
    const erased = under(lost).filter((key) => key.signsFrom <= now);
    for (const { kid } of removed) await write.remove(kid);
    for (const { kid } of erased) await write.erasePrivateHalf(kid);
    const left = sealed.map((key) => sealedUnder(key.sealedPrivateJwk ?? '')).find((id) => id !== lost);
    await setSealingKey(tx, changed, lost, left ?? null);
    audited({ act: 'sealing given up', target: `key-encryption key ${lost}` });
    return { erased: erased.map(({ kid }) => kid), removed: removed.map(({ kid }) => kid) };
  });
  const ids = (await listSealedInteractions(database)).filter(({ request }) => sealedUnder(request) === lost);
  await removeSealedInteractions(
    database,
    ids.map(({ id }) => id),
  );
  return { ...given, interactions: ids.length };
}
