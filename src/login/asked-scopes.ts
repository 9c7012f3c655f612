import type { Resource } from '../protocol/client.ts';
import type { AskedScope } from './pages/index.ts';

/** Scopes with what they mean to a person, by the words of the resource services that are asked for with them. */
export function askedScopes(
  scope: readonly string[],
  resources: readonly string[],
  find: (identifier: string) => Resource | undefined,
): AskedScope[] {
  const descriptions = new Map(resources.flatMap((identifier) => Object.entries(find(identifier)?.scopes ?? {})));
  return scope.map((token) => ({ token, description: descriptions.get(token) ?? '' }));
}
