/** The body of a protocol POST: `application/x-www-form-urlencoded`, read strictly. */
import { ProtocolError } from '../protocol/error.ts';

/** More parameters than any request of the protocol has. */
const maxParameters = 50;

/** The one parameter that a request may repeat (RFC 8707 §2). */
const repeatable = 'resource';

/** A parsed form. Parameters without a value count as absent (RFC 6749 §3.2). */
export interface Form {
  get(name: string): string | undefined;
  /** All values of a parameter that may be repeated. */
  all(name: typeof repeatable): readonly string[];
  /** The form as it came: form-urlencoded, printable ASCII. */
  readonly text: string;
}

/**
 * Parses a form. Throws `invalid_request` for a parameter sent twice (RFC 6749 §3.2), for percent-encoding that is not
 * UTF-8, for control characters, and for too many parameters.
 */
export function parseForm(body: string): Form {
  if (notPrintable.test(body)) throw new ProtocolError('invalid_request', 'the body is not form-urlencoded');
  const values = new Map<string, string>();
  const repeated: string[] = [];
  const pairs = body.split('&', maxParameters + 1);
  if (pairs.length > maxParameters) throw new ProtocolError('invalid_request', 'too many parameters');
  for (const pair of pairs) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    const name = decodeFormComponent(at === -1 ? pair : pair.slice(0, at));
    const value = at === -1 ? '' : decodeFormComponent(pair.slice(at + 1));
    if (name === repeatable) {
      if (value !== '') repeated.push(value);
    } else if (values.has(name)) {
      throw new ProtocolError('invalid_request', 'a parameter is sent more than once');
    } else {
      values.set(name, value);
    }
  }
  return { get: (name) => values.get(name) || undefined, all: () => repeated, text: body };
}

const notPrintable = /[^\x20-\x7e]/;
const encoded = /[%+]/;

/** Whether a text holds a control character. No value of the protocol does, and Postgres refuses a NUL. */
export function hasControls(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return /[\x00-\x1f\x7f]/.test(text);
}

/** One name or value of a form, decoded. Throws `invalid_request` as `parseForm` does. */
export function decodeFormComponent(text: string): string {
  if (!encoded.test(text)) return text;
  let decoded: string;
  try {
    decoded = decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new ProtocolError('invalid_request', 'the body is not valid percent-encoded UTF-8');
  }
  if (hasControls(decoded)) throw new ProtocolError('invalid_request', 'a parameter holds a control character');
  return decoded;
}
