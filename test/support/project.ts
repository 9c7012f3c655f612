import { join } from 'node:path';

/** The absolute path of something in the checkout, seen from dist/test/support. */
export function project(path: string): string {
  return join(import.meta.dirname, '../../..', path);
}
