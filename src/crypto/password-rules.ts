import { normalisePassword } from './password.ts';

/** Characters are Unicode code points, counted after normalisation (NIST SP 800-63B §3.1.1.2). */
const fewest = 8;
const most = 128;

/** What a new password can be refused for, and how to say it after the words "the password". */
export const passwordFaults = {
  too_short: `has fewer than ${fewest} characters`,
  too_long: `has more than ${most} characters`,
  unprintable: 'contains a line break or another character that cannot be typed',
  common: 'is one of those that are guessed first',
  personal: 'is little more than the e-mail address or the name',
} as const;

export type PasswordFault = keyof typeof passwordFaults;

/** Whose password it is to be. */
export interface PasswordOwner {
  readonly email: string;
  readonly name: string | null;
}

/** Why a password cannot be chosen; undefined where it can. No rule asks for signs of some kind: they make it no better. */
export async function checkNewPassword(password: string, owner: PasswordOwner): Promise<PasswordFault | undefined> {
  const normalised = normalisePassword(password);
  const { length } = [...normalised];
  if (length < fewest) return 'too_short';
  if (length > most) return 'too_long';
  if (/[\p{Cc}\p{Cs}]/u.test(normalised)) return 'unprintable';
  const folded = fold(password);
  if (await isCommon(folded)) return 'common';
  return isPersonal(folded, owner) ? 'personal' : undefined;
}

function fold(text: string): string {
  return normalisePassword(text).toLowerCase();
}

/** Common itself, or with the few digits and signs behind it that are tried next: `Sunshine2024!`. */
async function isCommon(folded: string): Promise<boolean> {
  const common = await commonPasswords();
  const stem = folded.replace(/(?<=\p{L})\P{L}{1,5}$/u, '');
  return [folded, stem].some((text) => common.has(text) || isSequence(text));
}

/** `aaaaaaaa`, `abcdefgh`, `87654321`: from each character to the next it is the same step, of one at the most. */
function isSequence(text: string): boolean {
  const codes = [...text].map((character) => character.codePointAt(0) ?? 0);
  const steps = new Set(codes.slice(1).map((code, at) => code - (codes[at] ?? 0)));
  const [step = 0] = steps;
  return steps.size <= 1 && Math.abs(step) <= 1;
}

let list: Promise<ReadonlySet<string>> | undefined;

/** zxcvbn's list, 49,000 passwords from leaks: 15 MB and 70 ms, so it is read when first asked for. */
function commonPasswords(): Promise<ReadonlySet<string>> {
  list ??= import('@zxcvbn-ts/language-common').then(
    ({ dictionary }) => new Set(dictionary['passwords-common'].map(fold)),
  );
  return list;
}

/** Whether next to nothing is left without the words that stand on the owner's visiting card. */
function isPersonal(folded: string, { email, name }: PasswordOwner): boolean {
  const words = [email, ...email.split(/[^\p{L}\p{N}]+/u), ...(name ?? '').split(/[^\p{L}\p{N}]+/u)]
    .map(fold)
    .filter((word) => word.length >= 3)
    .sort((a, b) => b.length - a.length);
  const rest = words.reduce((text, word) => text.replaceAll(word, ''), folded);
  return rest !== folded && rest.replace(/[^\p{L}\p{N}]/gu, '').length <= 4;
}
