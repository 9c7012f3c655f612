/** The key-encryption keys: files `<id>.key` in KEYS_DIR, each 256 random bits in base64url. Never in Postgres. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { newId } from '../crypto/handle.ts';
import { type KeyEncryptionKey, openPrivateJwk, seal, sealedUnder, unseal } from '../crypto/sealing.ts';

const fileName = /^(kek_[a-z2-9]{16})\.key$/;

/** The file in which a key-encryption key is looked for. */
export function keyEncryptionKeyFile(folder: string, id: string): string {
  return join(folder, `${id}.key`);
}

/** A key-encryption key that is needed is missing or unusable. The message is one line for whoever runs the issuer. */
export class KeyEncryptionKeyError extends Error {
  override readonly name = 'KeyEncryptionKeyError';
}

/** The key-encryption keys that this process holds. */
export interface KeyEncryptionKeys {
  ids(): string[];
  /** The key of that id. Throws `KeyEncryptionKeyError`, naming the file looked for, where there is none. */
  get(id: string): KeyEncryptionKey;
  /** Opens a sealed private JWK with the key that its header names. */
  open(sealed: string): Promise<object>;
  /** Opens a sealed text with the key that its header names. */
  unseal(sealed: string): Promise<string>;
  /** Seals a text with the key that was named last. */
  seal(text: string): Promise<string>;
  /** Says which key seals from now on. Throws as `get` does. */
  sealWith(id: string): void;
  /** Makes a new one; when it resolves, file and folder have reached the disk. Answers its id. */
  make(): Promise<string>;
  /** Reads those whose files have come since: another instance may just have made the first one. Throws where one is no good. */
  readNew(): Promise<void>;
  /** The files that others than their owner may read, and the folder where all may put files in. */
  readonly exposed: readonly string[];
}

/** Reads all key-encryption keys of a folder, which need not exist yet. Throws `KeyEncryptionKeyError`. */
export async function readKeyEncryptionKeys(folder: string): Promise<KeyEncryptionKeys> {
  const keys = new Map<string, KeyEncryptionKey>();
  const exposed: string[] = [];
  let sealing = '';

  /** One file that is no good does not keep the others from being read. */
  async function readNew(): Promise<void> {
    let unusable: unknown;
    for (const name of await listFolder(folder)) {
      const id = fileName.exec(name)?.[1];
      if (id === undefined || keys.has(id)) continue;
      const file = join(folder, name);
      try {
        keys.set(id, { id, secret: parse(file, await read(file)) });
        if (((await stat(file)).mode & 0o077) !== 0) exposed.push(file);
      } catch (error) {
        unusable ??= error;
      }
    }
    if (unusable !== undefined) throw unusable;
  }

  function get(id: string): KeyEncryptionKey {
    const key = keys.get(id);
    if (key !== undefined) return key;
    throw new KeyEncryptionKeyError(
      `the key-encryption key ${id} is missing: looked for ${keyEncryptionKeyFile(folder, id)}. ` +
        'The signing keys in the database are sealed with it; put the file back (KEYS_DIR names the folder).',
    );
  }

  await readNew();
  if (keys.size > 0 && ((await stat(folder)).mode & 0o002) !== 0) exposed.push(folder);
  return {
    ids: () => [...keys.keys()],
    get,
    open: async (sealed) => openPrivateJwk(sealed, get(sealedUnder(sealed))),
    unseal: async (sealed) => unseal(sealed, get(sealedUnder(sealed))),
    seal: async (text) => seal(text, get(sealing)),
    sealWith(id) {
      sealing = get(id).id;
    },
    readNew,
    exposed,
    async make() {
      const key = { id: newId('kek'), secret: randomBytes(32) };
      await write(folder, key);
      keys.set(key.id, key);
      return key.id;
    },
  };
}

async function listFolder(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new KeyEncryptionKeyError(`KEYS_DIR ${folder} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'latin1');
  } catch (error) {
    throw new KeyEncryptionKeyError(`${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}

function parse(file: string, text: string): Uint8Array {
  const secret = Buffer.from(text.trim(), 'base64url');
  if (secret.length === 32 && secret.toString('base64url') === text.trim()) return secret;
  throw new KeyEncryptionKeyError(`${file} is not a key-encryption key: it must hold 32 bytes in base64url`);
}

/** Written beside and renamed, so that a file of that name is whole; synced, so that what it seals can be opened. */
async function write(folder: string, key: KeyEncryptionKey): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const file = keyEncryptionKeyFile(folder, key.id);
    const handle = await open(`${file}.new`, 'wx', 0o600);
    try {
      // Made for the server by whoever has the right to, root perhaps, it is the server's to read.
      const { uid, gid } = await stat(folder);
      if ((await handle.stat()).uid !== uid) await handle.chown(uid, gid).catch(() => undefined);
      await handle.writeFile(`${Buffer.from(key.secret).toString('base64url')}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(`${file}.new`, file);
    const directory = await open(folder, 'r');
    await directory.sync().finally(() => directory.close());
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new KeyEncryptionKeyError(`KEYS_DIR ${folder} does not take a key-encryption key: ${code}`);
  }
}
