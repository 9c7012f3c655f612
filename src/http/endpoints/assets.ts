import type { Asset } from '../../login/pages/index.ts';
import type { Endpoint } from '../endpoint.ts';

/** The files that our pages refer to. */
export function assetEndpoints(assets: readonly Asset[]): Endpoint[] {
  return assets.map(({ path, headers, body }) => ({
    path,
    method: 'GET',
    handle: (_request, reply) => reply.headers(headers).send(body),
  }));
}
