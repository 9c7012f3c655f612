/** How many answers without end may be open at once, and whose: no reader takes the place of all others. */
import { isIP } from 'node:net';
import { ProtocolError } from '../protocol/error.ts';

export interface PlaceLimits {
  /** In all. */
  readonly open: number;
  /** Of those, for readers who do not say who they are; the rest is reserved for clients. */
  readonly anonymous: number;
  /** For anonymous readers of one address (IPv6: of one /64 network). */
  readonly perAddress: number;
  /** For one client, wherever it reads. */
  readonly perClient: number;
}

export interface Reader {
  /** Who has authenticated; undefined: nobody. */
  readonly clientId: string | undefined;
  readonly ip: string;
}

export interface Places {
  /** Takes a place and answers how to give it back. Throws 429 where the reader has too many, 503 where none is free. */
  take(reader: Reader): () => void;
}

/** Seconds after which to try again. */
const retryAfter = 10;

export function createPlaces(limits: PlaceLimits): Places {
  const held = new Map<string, number>();
  let open = 0;
  let anonymous = 0;

  return {
    take({ clientId, ip }) {
      const known = clientId !== undefined;
      const holder = known ? `client ${clientId}` : `address ${networkOf(ip)}`;
      const holds = held.get(holder) ?? 0;
      if (holds >= (known ? limits.perClient : limits.perAddress)) {
        throw new ProtocolError('temporarily_unavailable', 'too many streams are open from here', {
          retryAfter,
          tooMany: true,
        });
      }
      if (open >= limits.open || (!known && anonymous >= limits.anonymous)) {
        throw new ProtocolError('temporarily_unavailable', 'too many streams are open', { retryAfter });
      }
      held.set(holder, holds + 1);
      open += 1;
      if (!known) anonymous += 1;
      return () => {
        const rest = (held.get(holder) as number) - 1;
        if (rest > 0) held.set(holder, rest);
        else held.delete(holder);
        open -= 1;
        if (!known) anonymous -= 1;
      };
    },
  };
}

/**
 * What counts as one address: an IPv4 address, however it is written, and for IPv6 the /64 that one customer gets
 * (RFC 6177 §2). All that is no address counts as one.
 */
export function networkOf(ip: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1] ?? ip;
  if (isIP(mapped) !== 6) return isIP(mapped) === 4 ? mapped : '';
  const [left = '', right] = mapped
    .replace(/%.*/, '')
    .replace(/\d+(\.\d+){3}$/, '0:0')
    .split('::', 2);
  const groups = left.split(':').filter(Boolean);
  const after = (right ?? '').split(':').filter(Boolean);
  const all = [...groups, ...Array(8 - groups.length - after.length).fill('0'), ...after];
  return all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
