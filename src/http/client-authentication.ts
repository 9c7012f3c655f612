/** Client authentication (RFC 6749 §2.3.1): exactly one method, and the one registered. */
import { digestSecret, matchesDigest } from '../crypto/handle.ts';
import { type Client, type ClientAuthMethod, goodSecretDigests } from '../protocol/client.ts';
import { ProtocolError } from '../protocol/error.ts';
import type { NumericDate } from '../protocol/time.ts';
import type { Registry } from '../store/registry.ts';
import { decodeFormComponent, type Form, hasControls } from './form.ts';

interface Credentials {
  readonly method: ClientAuthMethod;
  readonly id: string;
  readonly secret: string;
}

export interface ClientAuthenticator {
  /**
   * The client that sent the request; a public one only says its `client_id` (RFC 6749 §3.2.1). Throws `invalid_client` for unknown and disabled clients, wrong secrets and
   * methods other than the registered one, all in the same words; `invalid_request` where credentials came twice.
   */
  authenticate(authorization: string | undefined, form: Form, now: NumericDate): Promise<Client>;
  /** The same where saying a `client_id` is not enough, and every failure is a 401 with a challenge (RFC 7662 §2.3). */
  authenticateConfidential(authorization: string | undefined, form: Form, now: NumericDate): Promise<Client>;
}

/** Compared with where there is no such client, so that an unknown id costs what a wrong secret costs. */
const nobodysDigests = [digestSecret('')];

export function createClientAuthenticator(registry: Registry, realm: string): ClientAuthenticator {
  const challenge = `Basic realm="${realm}", charset="UTF-8"`;

  /** Made only where it is thrown: an error takes note of the stack, which costs more than all the rest here. */
  function failure(challenged: boolean): ProtocolError {
    return new ProtocolError('invalid_client', 'client authentication failed', challenged ? { challenge } : {});
  }

  /** Undefined for unknown and disabled clients, wrong secrets and other methods, after the same work. */
  async function identify(
    authorization: string | undefined,
    form: Form,
    now: NumericDate,
  ): Promise<Client | undefined> {
    const credentials = readCredentials(authorization, form);
    if (credentials === undefined) return undefined;
    const client = await registry.client(credentials.id);
    const presented = digestSecret(credentials.secret);
    const matches = (client === undefined ? nobodysDigests : goodSecretDigests(client, now)).some((digest) =>
      matchesDigest(presented, digest),
    );
    const good = matches || (credentials.method === 'none' && client?.authMethod === 'none');
    return good && client?.authMethod === credentials.method && client.disabledAt === null ? client : undefined;
  }

  return {
    async authenticate(authorization, form, now) {
      const client = await identify(authorization, form, now);
      if (client === undefined) throw failure(authorization !== undefined);
      return client;
    },

    async authenticateConfidential(authorization, form, now) {
      const client = await identify(authorization, form, now);
      if (client === undefined || client.authMethod === 'none') throw failure(true);
      return client;
    },
  };
}

/** What the request says who sent it; undefined where it does not, or not in a way that can be read. */
function readCredentials(authorization: string | undefined, form: Form): Credentials | undefined {
  const id = form.get('client_id');
  const secret = form.get('client_secret');
  if (authorization !== undefined) {
    if (secret !== undefined) {
      throw new ProtocolError('invalid_request', 'the client authenticates in the header and in the body');
    }
    const credentials = readBasic(authorization);
    if (credentials !== undefined && id !== undefined && id !== credentials.id) {
      throw new ProtocolError('invalid_request', 'client_id differs from the client that authenticates');
    }
    return credentials;
  }
  if (id === undefined) return undefined;
  return secret === undefined ? { method: 'none', id, secret: '' } : { method: 'client_secret_post', id, secret };
}

/** `Basic` credentials (RFC 7617), each part form-urlencoded before (RFC 6749 §2.3.1); undefined if they are not that. */
function readBasic(authorization: string): Credentials | undefined {
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(authorization)?.[1];
  if (encoded === undefined) return undefined;
  const decoded = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon < 1 || hasControls(decoded)) return undefined;
  try {
    return {
      method: 'client_secret_basic',
      id: decodeFormComponent(decoded.slice(0, colon)),
      secret: decodeFormComponent(decoded.slice(colon + 1)),
    };
  } catch {
    return undefined;
  }
}
