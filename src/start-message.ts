/** The words with which the issuer greets whoever started it. */
import type { AddressInfo } from 'node:net';
import type { Config } from './config.ts';
import { algorithms } from './crypto/algorithms.ts';
import type { Keyring } from './keys/keyring.ts';
import { type DatabaseAddress, place } from './store/database-errors.ts';
import type { EmbeddedPostgres } from './store/embedded/index.ts';

export interface StartFacts {
  readonly config: Config;
  readonly version: string;
  readonly embedded: EmbeddedPostgres | undefined;
  readonly databaseAddress: DatabaseAddress;
  readonly addresses: readonly (AddressInfo | string)[];
  /** Of the admin server; none where there is none. */
  readonly adminAddresses: readonly (AddressInfo | string)[];
  readonly keyring: Keyring;
}

/** Where it listens, which database and keys it uses, and what to type next. Never a password. */
export function startMessage(facts: StartFacts): string {
  const { config, version, embedded, databaseAddress, addresses, adminAddresses, keyring } = facts;
  const scheme = config.tlsCert === undefined ? 'http' : 'https';
  const urls = (of: StartFacts['addresses'], path = '') => of.map((at) => `${urlOf(at, scheme)}${path}`).join(' and ');
  const administration =
    adminAddresses.length > 0
      ? `\n  metrics     ${urls(adminAddresses, '/metrics')}\n  admin API   ${urls(adminAddresses, '/openapi.json')}`
      : '';
  const published = keyring.published();
  const signing = [...algorithms.keys()].flatMap((alg) => {
    const ofAlg = published.filter((key) => key.alg === alg);
    return ofAlg.length > 0 ? [`${alg} (${ofAlg.length} published)`] : [];
  });
  const database =
    embedded === undefined
      ? `"${databaseAddress.database}" of the Postgres at ${place(databaseAddress)}`
      : `embedded Postgres ${embedded.version} in ${embedded.folder}`;
  return `
Keyturn ${version} issues tokens as ${config.issuer}
  listens on  ${urls(addresses)}${administration}
  database    ${database}
  keys        ${signing.join(', ')}, sealed with what is in ${config.keysDir}

Next, in another terminal, in the same folder and with the same settings:
  npx keyturn resource add https://orders.example --scope orders:read --scope orders:write
  npx keyturn client add billing --grant client_credentials --audience https://orders.example --scope orders:read
  curl -u CLIENT_ID:CLIENT_SECRET -d grant_type=client_credentials ${config.issuer}/token

`;
}

function urlOf(at: AddressInfo | string, scheme: string): string {
  if (typeof at === 'string') return at;
  return at.family === 'IPv6' ? `${scheme}://[${at.address}]:${at.port}` : `${scheme}://${at.address}:${at.port}`;
}
