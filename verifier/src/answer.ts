/** What a service answers in the place of its own: refusals as RFC 6750 §3 writes them. */
import type { TokenError } from './error.ts';
import type { Seconds } from './options.ts';

export interface Answer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** After which what is not known now may be. */
const retryAfter: Seconds = 5;

/** @param metadataUrl where the service's metadata is (RFC 9728 §5.1), if it has any. */
export function refusalOf(error: TokenError, metadataUrl?: string): Answer {
  const headers = { 'cache-control': 'no-store' };
  // Nothing else where no token was sent (RFC 6750 §3).
  const isMissing = error.code === 'token_missing';
  const attributes = {
    ...(!isMissing && { error: error.error, error_description: error.message }),
    ...(error.scope !== undefined && { scope: error.scope }),
    ...(metadataUrl !== undefined && { resource_metadata: metadataUrl }),
  };
  const given = Object.entries(attributes).map(([name, value]) => `${name}="${value}"`);
  const challenge = ['Bearer', given.join(', ')].filter((part) => part !== '').join(' ');
  const asked = error.status === 503 ? { 'retry-after': String(retryAfter) } : { 'www-authenticate': challenge };
  if (isMissing) return { status: error.status, headers: { ...headers, ...asked }, body: '' };
  return {
    status: error.status,
    headers: { ...headers, ...asked, 'content-type': 'application/json' },
    body: JSON.stringify({ error: error.error, error_description: error.message }),
  };
}
