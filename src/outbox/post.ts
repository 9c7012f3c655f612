/** A POST to somebody outside, who may be slow, endless or hostile. */
import { ProtocolError } from '../protocol/error.ts';

/** What it answered. */
export interface Answered {
  readonly status: number;
  /** The body, where it is short; undefined for one that is longer than `most` bytes, or broken off. */
  text(most: number): Promise<string | undefined>;
}

/** What is posted, `by` another `fetch` where one is given. */
export interface Posted {
  readonly body: string | URLSearchParams;
  readonly headers?: Record<string, string>;
  readonly by?: typeof fetch | undefined;
}

/** Posts, and hands the answer to `read`; what that leaves of it is hung up on. Follows no redirect. Throws what `fetch` throws. */
export async function post<T>(
  uri: string,
  { body, headers = {}, by = fetch }: Posted,
  signal: AbortSignal,
  read: (answer: Answered) => Promise<T> | T,
): Promise<T> {
  const answer = await by(uri, { method: 'POST', body, headers, redirect: 'manual', signal });
  try {
    return await read({ status: answer.status, text: (most) => textOf(answer, most) });
  } finally {
    // What else it says is of no use to us, and may be of any length.
    await answer.body?.cancel().catch(() => undefined);
  }
}

async function textOf({ body }: Response, most: number): Promise<string | undefined> {
  if (body === null) return '';
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = body.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      size += part.value.length;
      if (size > most) return undefined;
      chunks.push(part.value);
    }
    return Buffer.concat(chunks).toString();
  } catch {
    return undefined;
  } finally {
    reader.releaseLock();
  }
}

/** Why a POST came to nothing. Of what the other side sent nothing is repeated: only our own codes. */
export function inWords(error: Error, timeout: number): string {
  if (error instanceof ProtocolError) return error.message;
  if (error.name === 'TimeoutError') return `it did not answer within ${timeout / 1000} s`;
  const { code } = (error.cause ?? error) as NodeJS.ErrnoException;
  if (code === 'ECONNREFUSED') return 'it refused the connection';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'its host has no address';
  return `it could not be reached (${code ?? error.name})`;
}
