import { Failure, mistake } from './failure.ts';

/** Bytes. No password of 128 characters is longer, with a margin for what only a program would send. */
const longest = 4_096;

/**
 * The password on standard input, without the line break behind it. Throws a `Failure` that says what is wrong with it
 * and nothing of what it is. Not from a terminal, which would show it.
 */
export async function readPassword(): Promise<string> {
  if (process.stdin.isTTY) throw mistake('--password-stdin wants a pipe or a file; a terminal would show the password');
  const bytes = await read().catch((error: Error) => {
    throw error instanceof Failure ? error : mistake(`standard input cannot be read: ${error.message}`);
  });
  const password = decode(bytes).replace(/\r?\n$/, '');
  if (password === '') throw mistake('standard input is empty: the password is read from there');
  return password;
}

async function read(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > longest) throw mistake('what is on standard input is longer than any password');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw mistake('the password on standard input is not UTF-8');
  }
}
