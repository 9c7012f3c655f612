import type { GuardedRequest } from './guard.ts';

/** What of Node's `IncomingMessage` is looked at. */
export interface NodeRequest {
  readonly method?: string | undefined;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Names and values by turns, as they came: `headers` has only the first of two Authorization fields. */
  readonly rawHeaders?: readonly string[];
}

export function fromNode({ method = '', headers, rawHeaders = [] }: NodeRequest): GuardedRequest {
  return {
    method,
    header(name) {
      const sent = rawHeaders.filter((_value, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name);
      const known = headers[name];
      return sent.length > 1 ? sent : known === undefined ? [] : [known].flat();
    },
  };
}
