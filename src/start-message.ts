/** The words with which the issuer greets whoever started it. */
import type { AddressInfo } from 'node:net';
import type { Config } from './config.ts';
import { algorithms } from './crypto/algorithms.ts';
import type { Keyring } from './keys/keyring.ts';
import type { EmbeddedPostgres } from './store/embedded/index.ts';

export interface StartFacts {
  readonly config: Config;
  readonly version: string;
  readonly embedded: EmbeddedPostgres | undefined;
  readonly addresses: readonly (AddressInfo | string)[];
  readonly keyring: Keyring;
}

/** Where it listens, which database and keys it uses, and what to type next. Never a password. */
export function startMessage({ config, version, embedded, addresses, keyring }: StartFacts): string {
  const listening = addresses.map((at) => {
    if (typeof at === 'string') return at;
    return at.family === 'IPv6' ? `http://[${at.address}]:${at.port}` : `http://${at.address}:${at.port}`;
  });
  const published = keyring.published();
  const signing = [...algorithms.keys()].map((alg) => {
    const ofAlg = published.filter((key) => key.alg === alg);
    return `${alg} (${ofAlg.length} published)`;
  });
  return `
Keyturn ${version} issues tokens as ${config.issuer}
  listens on  ${listening.join(' and ')}
  database    ${embedded === undefined ? databaseName(config.databaseUrl ?? '') : `embedded Postgres ${embedded.version} in ${embedded.folder}`}
  keys        ${signing.join(', ')}, sealed with what is in ${config.keysDir}

Next, in another terminal:
  npx keyturn resource add https://orders.example --scope orders:read --scope orders:write
  npx keyturn client add billing --grant client_credentials --audience https://orders.example --scope orders:read
  curl -u <client_id>:<client_secret> -d grant_type=client_credentials ${config.issuer}/token

`;
}

/** What may be shown of a connection URL. */
function databaseName(url: string): string {
  const { hostname, port, pathname } = new URL(url);
  return `Postgres, ${decodeURIComponent(pathname.slice(1))} on ${hostname || 'localhost'}${port === '' ? '' : `:${port}`}`;
}
