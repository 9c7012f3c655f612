import type { NumericDate } from './time.ts';

/** A person who can sign in, as every room but the store sees them: without the password's hash. */
export interface User {
  /** The `sub` of their tokens: random, and never a client's id. */
  readonly id: string;
  /** Case-folded. */
  readonly email: string;
  readonly emailVerified: boolean;
  readonly name: string | null;
  readonly roles: readonly string[];
  /** Access tokens stamped with a lower epoch are void. */
  readonly epoch: number;
  /** Sessions and grants stamped with a lower epoch redeem nothing. At most `epoch`. */
  readonly grantEpoch: number;
  readonly disabledAt: NumericDate | null;
}

/** A role and what it permits. */
export interface Role {
  readonly name: string;
  readonly permissions: readonly string[];
}

/**
 * The one spelling of an e-mail address, or undefined where it is none: 254 characters at the most, one `@`, nothing
 * invisible, none of the signs that only a quoted local part or a header could hold. Lower case throughout: that local
 * parts differ by case is allowed (RFC 5321 §2.4) and practised by nobody.
 */
export function foldEmail(text: string): string | undefined {
  const folded = text.normalize('NFC').toLowerCase().normalize('NFC');
  return folded.length <= 254 && address.test(folded) ? folded : undefined;
}

const label = '[\\p{L}\\p{M}\\p{N}](?:[\\p{L}\\p{M}\\p{N}-]{0,61}[\\p{L}\\p{M}\\p{N}])?';
const address = new RegExp(`^[^@\\s"(),:;<>[\\\\\\]\\p{C}\\p{Z}]{1,64}@${label}(?:\\.${label})*$`, 'u');

/** What an act changes of a user. */
export type UserChange = Partial<Omit<User, 'id' | 'email'>>;

/** All sessions and grants end, and access tokens are void. */
export function endSignIns({ epoch }: User): UserChange {
  return { epoch: epoch + 1, grantEpoch: epoch + 1 };
}

/** Nothing is let in any more. Nothing changes where the user is disabled already. */
export function disable(user: User, now: NumericDate): UserChange {
  return user.disabledAt === null ? { disabledAt: now, ...endSignIns(user) } : {};
}

/** From the next access token on. Nothing changes where the user has the role. */
export function grantRole({ roles }: User, role: string): UserChange {
  return roles.includes(role) ? {} : { roles: [...roles, role] };
}

/** Access tokens that may carry the role are void; sessions and grants stay. Nothing changes without the role. */
export function revokeRole({ roles, epoch }: User, role: string): UserChange {
  return roles.includes(role) ? { roles: roles.filter((one) => one !== role), epoch: epoch + 1 } : {};
}
