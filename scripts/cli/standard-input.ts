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

/** No token of ours is longer; what is would only fill the screen. */
const longestToken = 16_384;

/** A token as it was typed, or, for `-`, as it is on standard input. */
export async function readToken(argument: string): Promise<string> {
  const token = (argument === '-' ? await readSomeText() : argument).trim();
  if (token.length > longestToken) throw mistake('that is longer than any token');
  return token;
}

/** As much of it as could be a token, and a little more to tell. */
async function readSomeText(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += chunk;
    if (text.length > 2 * longestToken) break;
  }
  return text;
}
