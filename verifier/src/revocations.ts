/** The documents of the feed (docs/revocation-feed.md), read strictly: what is wrong in one place is wrong. */
import type { RevocationEntry } from './denylist.ts';
import { parseObject } from './http.ts';
import type { Seconds } from './options.ts';

export interface Snapshot {
  readonly position: string;
  readonly entries: RevocationEntry[];
}

export interface News {
  readonly asOf: Seconds;
  readonly sentAt: Seconds;
  /** Empty in a heartbeat. */
  readonly entries: RevocationEntry[];
}

/** What `/revocations` answers. Throws for anything else. */
export function readSnapshot(text: string, issuer: string): Snapshot {
  const document = parseObject(text);
  if (document.issuer !== issuer) throw new Error('the revocations are of another issuer');
  return { position: readPosition(document.id), entries: readEntries(document.entries) };
}

/** The data of an event. Throws for anything else. */
export function readNews(data: string, type: 'revocations' | 'heartbeat'): News {
  const { asOf, sentAt, entries } = parseObject(data);
  return {
    asOf: readTime(asOf),
    sentAt: readTime(sentAt),
    entries: type === 'heartbeat' ? [] : readEntries(entries),
  };
}

/** `<feed>-<n>`. */
export function readPosition(value: unknown): string {
  if (typeof value !== 'string' || !/^[0-9a-f]{16}-\d{1,20}$/.test(value)) throw new Error('not a position in a feed');
  return value;
}

/** Seconds since 1970, as a number or in a header. */
export function readTime(value: unknown): Seconds {
  const time = typeof value === 'string' && /^\d{1,12}(\.\d{1,9})?$/.test(value) ? Number(value) : value;
  if (typeof time !== 'number' || !(time >= 0 && time < 1e12)) throw new Error('not a time');
  return time;
}

function readEntries(value: unknown): RevocationEntry[] {
  if (!Array.isArray(value)) throw new Error('no entries');
  return value.map((entry: unknown) => {
    const [digest, expiresAt, epochBelow = null] = Array.isArray(entry) ? entry : [];
    const isGood =
      typeof digest === 'string' &&
      /^[\w-]{21}[AQgw]$/.test(digest) &&
      (epochBelow === null || (Number.isSafeInteger(epochBelow) && epochBelow >= 1));
    if (!isGood) throw new Error('not a revocation');
    return { digest, expiresAt: readTime(expiresAt), epochBelow };
  });
}
