/** How many answers without end may be open at once, and whose: no reader takes the place of all others. */
import { ProtocolError } from '../protocol/error.ts';

export interface PlaceLimits {
  /** In all. */
  readonly open: number;
  /** Of those, for readers who do not say who they are; the rest is reserved for clients. */
  readonly anonymous: number;
  /** For anonymous readers of one address. */
  readonly perAddress: number;
  /** For one client, wherever it reads. */
  readonly perClient: number;
}

export interface Reader {
  /** Who has authenticated; undefined: nobody. */
  readonly clientId: string | undefined;
  /** What counts as one address; undefined where it is not known. */
  readonly address: string | undefined;
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
    take({ clientId, address }) {
      const known = clientId !== undefined;
      const holder = known ? `client ${clientId}` : `address ${address}`;
      const holds = held.get(holder) ?? 0;
      const most = known ? limits.perClient : address === undefined ? limits.anonymous : limits.perAddress;
      if (holds >= most) {
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
