import type { NumericDate, Seconds } from './time.ts';
import type { User } from './user.ts';

/** A session ends when it was not used for so long. */
export const sessionIdle: Seconds = 24 * 3600;

/** A browser in which a person is signed in. */
export interface Session {
  /** The `sid` of tokens (OpenID Connect Back-Channel Logout §2.1). Not a secret. */
  readonly id: string;
  readonly user: User;
  /** When the person last proved who they are. */
  readonly authTime: NumericDate;
  /** How they did: RFC 8176 values. */
  readonly amr: readonly string[];
}

/** What the person's own page says of one of their sessions. */
export interface SessionSummary {
  readonly id: string;
  readonly createdAt: NumericDate;
  readonly lastSeenAt: NumericDate;
  readonly ip: string | null;
  readonly userAgent: string | null;
}
