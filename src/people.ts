/** Part of the composition root: what people use, from the sign-in page to the sessions of first-party sites. */
import type { Config } from './config.ts';
import type { Passwords } from './crypto/password.ts';
import type { GrantServices } from './grants/grant-type.ts';
import type { AddressOf } from './http/address.ts';
import { createCookies } from './http/cookies.ts';
import type { Endpoint } from './http/endpoint.ts';
import { accountEndpoints } from './http/endpoints/account.ts';
import { assetEndpoints } from './http/endpoints/assets.ts';
import { authorizeEndpoints } from './http/endpoints/authorize.ts';
import { logoutEndpoints } from './http/endpoints/logout.ts';
import { sessionEndpoints } from './http/endpoints/session.ts';
import { signInEndpoints } from './http/endpoints/sign-in.ts';
import { createPageSender } from './http/page-sender.ts';
import { createSessionCookies } from './http/session-cookies.ts';
import type { KeyEncryptionKeys } from './keys/key-encryption-keys.ts';
import { createAccounts } from './login/accounts.ts';
import type { BackChannel } from './login/back-channel.ts';
import { createFlow } from './login/flow.ts';
import { createKnownBrowsers } from './login/known-browsers.ts';
import { createPages, type Logo } from './login/pages/index.ts';
import { createSessions } from './login/sessions.ts';
import type { NumericDate } from './protocol/time.ts';
import type { Database } from './store/database.ts';
import type { Registry } from './store/registry.ts';
import type { Metrics } from './telemetry/metrics.ts';
import type { Mint } from './tokens/mint.ts';
import type { Revoker } from './tokens/revocation.ts';
import type { TokenReader } from './tokens/verification.ts';

export interface PeopleOptions {
  readonly config: Config;
  readonly database: Database;
  readonly registry: Registry;
  readonly keyEncryptionKeys: KeyEncryptionKeys;
  readonly passwords: Passwords;
  readonly mint: Mint;
  readonly reader: TokenReader;
  readonly revoker: Revoker;
  readonly backChannel: BackChannel;
  readonly grantServices: GrantServices;
  readonly addressOf: AddressOf;
  readonly logo: Logo | undefined;
  now(): NumericDate;
  readonly metrics: Metrics | undefined;
}

/** Makes the services behind the pages, and answers their endpoints. */
export function composePeople(options: PeopleOptions): Endpoint[] {
  const {
    config,
    database,
    registry,
    keyEncryptionKeys,
    passwords,
    mint,
    reader,
    now,
    addressOf,
    logo,
    grantServices,
  } = options;
  const { issuer } = config;
  const sessions = createSessions(database);
  const accounts = createAccounts({
    database,
    passwords,
    now,
    onAttempt: options.metrics?.signIn,
    observe: grantServices.observe,
  });
  const flow = createFlow({
    issuer,
    database,
    sessions,
    client: registry.client,
    seal: keyEncryptionKeys.seal,
    unseal: keyEncryptionKeys.unseal,
    subjectOf: async (idToken) => (await reader.idTokenHint(idToken))?.sub,
    now,
  });
  const pages = createPages({
    issuer,
    brand: { name: config.brandName, color: config.brandColor, ...(logo && { logo }) },
  });
  const cookies = createCookies(issuer);
  const knownBrowsers = createKnownBrowsers(keyEncryptionKeys);
  const services = {
    issuer,
    database,
    client: registry.client,
    resource: registry.resource,
    flow,
    sessions,
    accounts,
    revoker: options.revoker,
    now,
    cookies,
    knownBrowsers,
    addressOf,
    views: pages,
    pages: createPageSender({ issuer, pages, resource: registry.resource }),
  };
  return [
    ...authorizeEndpoints(services),
    ...signInEndpoints(services),
    ...logoutEndpoints({ ...services, backChannel: options.backChannel, idTokenHint: reader.idTokenHint }),
    ...accountEndpoints({ ...services, passwords }),
    ...sessionEndpoints({
      registry,
      accounts,
      grantServices,
      mint,
      cookies: createSessionCookies(issuer),
      ownCookies: cookies,
      knownBrowsers,
      addressOf,
      now,
      onIssued: options.metrics?.issued,
    }),
    ...assetEndpoints(pages.assets),
  ];
}
