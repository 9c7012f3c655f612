import { digestSecret, idFrom, newId, newSecret } from '../crypto/handle.ts';
import {
  type Client,
  type ClientAuthMethod,
  clientDefaults,
  disableClient,
  endClientGrants,
  goodSecretDigests,
} from '../protocol/client.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import { type ClientChange, findClient, listClients as list, addClient as store } from '../store/client.ts';
import { administers } from './access.ts';
import { requireConsistent } from './client-rules.ts';
import { type AdminContext, AdminError, type Page, type PageAsked, page } from './context.ts';
import { knownResources } from './resources.ts';

/** In the words of client metadata (RFC 7591 §2, OpenID Connect) where it has them. */
export interface ClientDocument {
  readonly client_id: string;
  readonly client_name: string;
  readonly grant_types: readonly string[];
  readonly audiences: readonly string[];
  readonly scope: string;
  readonly redirect_uris: readonly string[];
  readonly post_logout_redirect_uris: readonly string[];
  readonly backchannel_logout_uri: string | null;
  readonly origins: readonly string[];
  readonly serves: readonly string[];
  readonly token_endpoint_auth_method: ClientAuthMethod;
  readonly id_token_signed_response_alg: string;
  readonly pkce_required: boolean;
  readonly refresh_rotates: boolean;
  readonly skip_consent: boolean;
  readonly first_party: boolean;
  readonly cookie_domain: string | null;
  readonly previous_secret_expires_at: NumericDate | null;
  readonly disabled_at: NumericDate | null;
}

/** With a secret that is shown this once; null for a public client. */
export interface ClientWithSecret extends ClientDocument {
  readonly client_secret: string | null;
}

/** What an administrator says of a client, in the same words. */
export type ClientValues = {
  readonly [Member in Settable]?: ClientDocument[Member] | undefined;
};

type Settable = Exclude<keyof ClientDocument, 'client_id' | 'previous_secret_expires_at' | 'disabled_at'>;

export async function listClients({ database }: AdminContext, asked: PageAsked): Promise<Page<ClientDocument>> {
  return page(
    asked,
    (after, limit) => list(database, after, limit),
    ({ id }) => id,
    toDocument,
  );
}

export async function showClient({ database }: AdminContext, id: string): Promise<ClientDocument> {
  return toDocument((await findClient(database, id)) ?? absent(id));
}

/**
 * Adds a client, and shows its secret this once. With a key, whoever asks again with the same key finds the client of
 * the first time, without its secret: `added` is false then. Throws `conflict` where that is of other values.
 */
export async function addClient(
  context: AdminContext,
  values: ClientValues & Pick<ClientDocument, 'client_name'>,
  key?: string,
): Promise<{ client: ClientWithSecret; added: boolean }> {
  const id = key === undefined ? newId('client') : idFrom('client', `${context.database.actor.actor}\0${key}`);
  const described = { ...clientDefaults, id, name: values.client_name, ...toClient(values) };
  const secret = described.authMethod === 'none' ? null : newSecret('ktcs');
  const client: Client = { ...described, secretDigests: secret === null ? [] : [digestSecret(secret)] };
  requireAppointment(context, client);
  requireConsistent(client, await knownResources(context), context.issuer);
  if (await store(context.database, client))
    return { client: { ...toDocument(client), client_secret: secret }, added: true };
  const there = await findClient(context.database, id);
  if (there === undefined || JSON.stringify(toDocument(there)) !== JSON.stringify(toDocument(client))) {
    throw new AdminError('conflict', 'a client of other values was added with this key, or it was changed since');
  }
  return { client: { ...toDocument(there), client_secret: null }, added: false };
}

/** Changes what is given; lists replace the old ones. */
export async function updateClient(context: AdminContext, id: string, values: ClientValues): Promise<ClientDocument> {
  const known = await knownResources(context);
  const changes = toClient(values);
  const updated = await changeClient(context, id, (before) => {
    const after = { ...before, ...changes };
    if (after.authMethod !== 'none' && after.secretDigests.length === 0) {
      throw new AdminError(
        'invalid',
        'the client has no secret: add a new one instead of changing how it authenticates',
      );
    }
    requireAppointment(context, after);
    requireConsistent(after, known, context.issuer);
    return changes;
  });
  return toDocument(updated);
}

/** The client is let in no more, its grants end, and its access tokens are void. */
export async function disable(context: AdminContext, id: string): Promise<ClientDocument> {
  return toDocument(await changeClient(context, id, (before) => disableClient(before, context.now)));
}

/** Lets a disabled client in again. */
export async function enable(context: AdminContext, id: string): Promise<ClientDocument> {
  return toDocument(await changeClient(context, id, () => ({ disabledAt: null })));
}

/** How many secrets may stay good beside a new one. */
const mostOldSecrets = 4;

export interface SecretRotation {
  /** How long the secret before stays good. */
  readonly overlap?: Seconds | undefined;
  /** Whether all its grants end and its access tokens are void: somebody else had the secret. */
  readonly revoke?: boolean | undefined;
}

/** Gives a client a new secret, shown this once. */
export async function rotateSecret(
  context: AdminContext,
  id: string,
  { overlap = 0, revoke = false }: SecretRotation,
): Promise<ClientWithSecret> {
  if (revoke && overlap > 0) {
    throw new AdminError('invalid', 'revoke goes with no overlap: the old secret is not to be trusted');
  }
  const secret = newSecret('ktcs');
  const updated = await changeClient(context, id, (before) => {
    if (before.authMethod === 'none') throw new AdminError('invalid', 'a public client has no secret');
    const good = goodSecretDigests(before, context.now);
    return {
      // All that are good stay, not the last alone: who did not hear the answer to a rotation asks again, and that is not
      // to take away the secret that is in use.
      secretDigests: [digestSecret(secret), ...(overlap > 0 ? good.slice(0, mostOldSecrets) : [])],
      previousSecretExpiresAt: overlap > 0 ? context.now + overlap : null,
      ...(revoke && endClientGrants(before)),
    };
  });
  return { ...toDocument(updated), client_secret: secret };
}

/** The one way by which an administrator changes a client. */
export async function changeClient(
  context: AdminContext,
  id: string,
  decide: (before: Client) => ClientChange,
  reason = 'by command',
): Promise<Client> {
  const updated = await context.revoker.changeClient(
    id,
    async (before) => {
      requireAppointment(context, before);
      return decide(before);
    },
    reason,
  );
  return updated ?? absent(id);
}

function absent(id: string): never {
  throw new AdminError('absent', `there is no client ${JSON.stringify(id)}`, 'see keyturn client list');
}

function requireAppointment({ appoints, issuer }: AdminContext, client: Client): void {
  if (appoints || !administers(client, issuer)) return;
  throw new AdminError('forbidden', 'clients of the admin API are added and changed by the command line alone');
}

function toDocument(client: Client): ClientDocument {
  return {
    client_id: client.id,
    client_name: client.name,
    grant_types: client.grantTypes,
    audiences: client.resources,
    scope: client.scopes.join(' '),
    redirect_uris: client.redirectUris,
    post_logout_redirect_uris: client.postLogoutRedirectUris,
    backchannel_logout_uri: client.backchannelLogoutUri,
    origins: client.origins,
    serves: client.serves,
    token_endpoint_auth_method: client.authMethod,
    id_token_signed_response_alg: client.idTokenAlg,
    pkce_required: client.pkceRequired,
    refresh_rotates: client.refreshRotates,
    skip_consent: client.skipConsent,
    first_party: client.firstParty,
    cookie_domain: client.cookieDomain,
    previous_secret_expires_at: client.previousSecretExpiresAt,
    disabled_at: client.disabledAt,
  };
}

/** What is given of a client, as the other rooms call it. */
function toClient(values: ClientValues): ClientChange {
  const change: { [Field in keyof ClientChange]: ClientChange[Field] | undefined } = {
    name: values.client_name,
    grantTypes: values.grant_types,
    resources: values.audiences,
    scopes: values.scope?.split(' ').filter(Boolean),
    redirectUris: values.redirect_uris,
    postLogoutRedirectUris: values.post_logout_redirect_uris,
    backchannelLogoutUri: values.backchannel_logout_uri,
    origins: values.origins,
    serves: values.serves,
    authMethod: values.token_endpoint_auth_method,
    idTokenAlg: values.id_token_signed_response_alg,
    pkceRequired: values.pkce_required,
    refreshRotates: values.refresh_rotates,
    skipConsent: values.skip_consent,
    firstParty: values.first_party,
    cookieDomain: values.cookie_domain,
  };
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
}
