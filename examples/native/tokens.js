/**
 * Where the tokens stay between two runs: a file that nobody else may read. An app with a window keeps them in the keychain
 * of the operating system instead.
 */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

const folder = join(homedir(), '.config', 'keyturn-native-example');
const file = join(folder, 'tokens.json');

export async function keptTokens() {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
}

/** In one step, so that nothing that happens meanwhile leaves half a file. */
export async function keepTokens(tokens) {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(`${file}.new`, JSON.stringify(tokens), { mode: 0o600 });
  await rename(`${file}.new`, file);
}

export async function forgetTokens() {
  await rm(file, { force: true });
}
