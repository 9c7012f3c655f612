import type { Color } from './color.ts';

/** Whose pages these are: what the operator sets. */
export interface Brand {
  /** The name people know the operator by. */
  readonly name: string;
  /** Any colour; what is needed to read by it follows from it. */
  readonly color: Color;
  readonly logo?: Logo;
}

/** A picture to show in place of the name. */
export interface Logo {
  readonly contentType: 'image/svg+xml' | 'image/png';
  readonly body: Uint8Array;
}

/** Bytes. A logo comes with the first page somebody sees. */
const largest = 200_000;

/** The logo in a file's bytes, or in words why they are none. */
export function readLogo(body: Uint8Array): Logo | string {
  if (body.byteLength > largest) return `it is larger than ${largest / 1000} kB`;
  const start = Buffer.from(body.buffer, body.byteOffset, Math.min(body.byteLength, 4096));
  if (start.subarray(0, 8).equals(Buffer.from('\x89PNG\r\n\x1A\n', 'latin1')))
    return { contentType: 'image/png', body };
  if (/^\uFEFF?\s*<[\s\S]*?svg[\s>]/.test(start.toString('utf8'))) return { contentType: 'image/svg+xml', body };
  return 'it is neither SVG nor PNG';
}
