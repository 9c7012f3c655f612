/** Content codings (RFC 9110 §8.4.1): which one a reader takes, and bytes in it, made off the event loop. */
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

export type Coding = 'br' | 'gzip';

/** The best coding that an `Accept-Encoding` allows (RFC 9110 §12.5.3); undefined: as it is. */
export function acceptedCoding(acceptEncoding: string | undefined): Coding | undefined {
  const weights = new Map<string, number>();
  for (const element of (acceptEncoding ?? '').toLowerCase().split(',', maxElements)) {
    const [, coding = '', weight = '1'] = /^\s*([\w*!#$%&'+.^`|~-]+)\s*(?:;\s*q=([\d.]{1,5})\s*)?$/.exec(element) ?? [];
    weights.set(coding, Number(weight));
  }
  return codings.find((coding) => (weights.get(coding) ?? weights.get('*') ?? 0) > 0);
}

const maxElements = 20;
const codings: readonly Coding[] = ['br', 'gzip'];

/** The bytes in a coding. Quick ones of their levels: digests are random, so that more work gains next to nothing. */
export function compress(bytes: Buffer, coding: Coding): Promise<Buffer> {
  const chunkSize = 256 * 1024;
  if (coding === 'gzip') return promisify(gzip)(bytes, { level: 1, chunkSize });
  const params = { [constants.BROTLI_PARAM_QUALITY]: 2, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  return promisify(brotliCompress)(bytes, { params, chunkSize });
}
