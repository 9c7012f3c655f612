import { algorithm, defaultAlg } from '../crypto/algorithms.ts';
import { signerOf, standbyOf } from '../keys/lifecycle.ts';
import type { Resource } from '../protocol/client.ts';
import type { NumericDate, Seconds } from '../protocol/time.ts';
import {
  findResource,
  listResources as list,
  addResource as store,
  updateResource as update,
} from '../store/resource.ts';
import { listSigningKeys } from '../store/signing-key.ts';
import { adminResource } from './access.ts';
import { type AdminContext, AdminError, type Page, type PageAsked, pageOf } from './context.ts';

export interface ResourceDocument {
  readonly audience: string;
  /** Scope token → what it means to a person (empty where nobody said). */
  readonly scopes: Readonly<Record<string, string>>;
  readonly alg: string;
  /** Seconds; null: ACCESS_TOKEN_TTL. */
  readonly access_ttl: Seconds | null;
}

export interface ResourceValues {
  readonly scopes?: Readonly<Record<string, string>> | undefined;
  readonly alg?: string | undefined;
  /** Null: ACCESS_TOKEN_TTL. */
  readonly access_ttl?: Seconds | null | undefined;
}

export async function listResources({ database }: AdminContext, asked: PageAsked): Promise<Page<ResourceDocument>> {
  return pageOf(asked, await list(database), ({ identifier }) => identifier, toDocument);
}

/**
 * Adds a resource service. Again with the same values is no error, so that who heard no answer may ask again:
 * `added` is false then. Throws `conflict` where there is one of other values.
 */
export async function addResource(
  context: AdminContext,
  audience: string,
  { scopes = {}, alg = defaultAlg, access_ttl: accessTtl }: ResourceValues,
): Promise<{ resource: ResourceDocument; added: boolean }> {
  requireOthers(context, audience);
  const resource: Resource = { identifier: audience, scopes, alg, accessTtl: accessTtl ?? null };
  await requireSigner(context, alg);
  const added = await store(context.database, resource);
  const there = added ? resource : await findResource(context.database, audience);
  if (!added && !isSame(resource, there)) {
    throw new AdminError('conflict', `${audience} is there already`, 'change it with keyturn resource update');
  }
  return { resource: toDocument(resource), added };
}

/** Changes what is given. */
export async function updateResource(
  context: AdminContext,
  audience: string,
  { scopes, alg, access_ttl: accessTtl }: ResourceValues,
): Promise<ResourceDocument> {
  requireOthers(context, audience);
  if (alg !== undefined) await requireSigner(context, alg);
  const updated = await update(context.database, audience, {
    ...(scopes !== undefined && { scopes }),
    ...(alg !== undefined && { alg }),
    ...(accessTtl !== undefined && { accessTtl }),
  });
  if (updated === undefined) throw new AdminError('absent', `there is no resource service ${audience}`);
  return toDocument(updated);
}

/** All there are, the admin API among them, by their audiences. */
export async function knownResources({ database, issuer }: AdminContext): Promise<ReadonlyMap<string, Resource>> {
  const all = [...(await list(database)), adminResource(issuer)];
  return new Map(all.map((resource) => [resource.identifier, resource]));
}

function requireOthers({ issuer }: AdminContext, audience: string): void {
  if (audience === adminResource(issuer).identifier || audience === issuer) {
    throw new AdminError('invalid', `${audience} is the issuer's own`);
  }
}

/** No token is to be refused since caches do not know the first key of an algorithm, or because there is none. */
async function requireSigner({ database, now }: AdminContext, alg: string): Promise<void> {
  if (algorithm(alg).always) return;
  const ofAlg = (await listSigningKeys(database)).filter((key) => key.alg === alg);
  if (signerOf(ofAlg, now) !== undefined) return;
  const first = standbyOf(ofAlg, now);
  if (first === undefined) {
    throw new AdminError('invalid', `${alg} has no keys yet`, `keyturn keys add-algorithm ${alg}`);
  }
  const from = `${isoTime(first.signsFrom)} (in ${Math.round((first.signsFrom - now) / 60)} min)`;
  throw new AdminError('not yet', `no ${alg} key signs yet: the first one does from ${from}; try again then`);
}

function isoTime(at: NumericDate): string {
  return new Date(at * 1000).toISOString().replace('.000Z', 'Z');
}

function isSame(one: Resource, other: Resource | undefined): boolean {
  const spelled = ({ scopes, alg, accessTtl }: Resource) =>
    JSON.stringify([Object.entries(scopes).sort(), alg, accessTtl]);
  return other !== undefined && spelled(one) === spelled(other);
}

function toDocument({ identifier, scopes, alg, accessTtl }: Resource): ResourceDocument {
  return { audience: identifier, scopes, alg, access_ttl: accessTtl };
}
