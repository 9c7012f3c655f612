/** Commands that need the key-encryption keys: `keys rewrap`, `keys give-up` and `keys add-algorithm`. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import {
  KeyEncryptionKeyError,
  type KeyEncryptionKeys,
  keyEncryptionKeyFile,
  readKeyEncryptionKeys,
} from '../../src/keys/key-encryption-keys.ts';
import { pollInterval } from '../../src/keys/lifecycle.ts';
import { addAlgorithm } from '../../src/keys/new-key.ts';
import { giveUp, reseal } from '../../src/keys/rewrap.ts';
import { listSealedRows, rowsInWords } from '../../src/keys/sealed-rows.ts';
import { listLiveInstances } from '../../src/store/instance.ts';
import { callForKeyEncryptionKeys, nameSealingKey, readIssuerState } from '../../src/store/issuer.ts';
import { algArgument, once } from './arguments.ts';
import { type Context, withDatabase } from './context.ts';
import { Failure, mistake } from './failure.ts';
import { print, when } from './output.ts';

interface RewrapOptions {
  new?: true;
  to?: string;
  json?: true;
}

/** Milliseconds in which instances look into their folder and report what they have found, and some. */
const reportPatience = 5_000;

export function addSealCommands(keys: Command): void {
  keys
    .command('rewrap')
    .description('seal all private keys anew; without options, go on with what was begun')
    .option('--new', 'under a new key-encryption key, made in KEYS_DIR')
    .option('--to <id>', 'under this key-encryption key, whose file is in KEYS_DIR', once(keyEncryptionKeyArgument))
    .option('--json', 'print JSON')
    .action(async (options: RewrapOptions) => {
      if (options.new && options.to !== undefined) throw mistake('--new and --to exclude each other');
      await withDatabase((context) => explained(() => rewrap(context, options)));
    });

  keys
    .command('add-algorithm')
    .description('have keys of another algorithm too, for resource services to choose')
    .argument('<alg>', 'such as PS256', algArgument)
    .option('--json', 'print JSON')
    .action(async (alg: string, options: { json?: true }) => {
      await withDatabase((context) => explained(() => addAlgorithmByHand(context, alg, options)));
    });

  keys
    .command('give-up')
    .description('erase what is sealed under a key-encryption key that nobody has any more; new keys are made')
    .argument('<id>', 'the key-encryption key that is lost', keyEncryptionKeyArgument)
    .option('--yes', 'do it: this cannot be undone')
    .option('--json', 'print JSON')
    .action(async (id: string, options: { yes?: true; json?: true }) => {
      await withDatabase((context) => explained(() => giveUpByHand(context, id, options)));
    });
}

function keyEncryptionKeyArgument(text: string): string {
  if (/^kek_[a-z2-9]{16}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be the id of a key-encryption key, such as kek_ and 16 signs.');
}

/** What is wrong with a folder or a file is one line. */
async function explained<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof KeyEncryptionKeyError ? new Failure(1, error.message) : error;
  }
}

async function rewrap({ database, config }: Context, options: RewrapOptions): Promise<void> {
  const held = await readKeyEncryptionKeys(config.keysDir);
  const { sealingKey } = await readIssuerState(database);
  if (sealingKey === null) throw new Failure(1, 'nothing is sealed yet: the first server to start makes the first key');
  held.get(sealingKey);
  const target = options.new ? await held.make() : (options.to ?? sealingKey);
  held.get(target);
  const file = keyEncryptionKeyFile(config.keysDir, target);
  if (options.new) process.stderr.write(`keyturn: made ${file}: every instance needs it in its KEYS_DIR\n`);
  if (target !== sealingKey) {
    await name(database, target, file);
    // Until each has learned of it, an instance seals under the one before.
    await delay(2 * pollInterval * 1000);
  }
  const moved = await resealAll(database, held, target);
  const others = [...new Set([...held.ids(), sealingKey])].filter((id) => id !== target);
  print(options.json, { sealing_key: target, moved, not_needed: others }, () =>
    [
      `${target} seals; ${moved} rows were moved to it, and nothing is left under another.`,
      ...others.map((id) => `${id} is needed for backups of the database made before now, and for nothing else.`),
    ].join('\n'),
  );
}

async function addAlgorithmByHand(
  { database, config, schedule, now }: Context,
  alg: string,
  { json }: { json?: true },
) {
  if ((await readIssuerState(database)).sealingKey === null) {
    throw new Failure(1, 'no server has started on this database yet: start it first');
  }
  const signsFrom = await addAlgorithm(database, await readKeyEncryptionKeys(config.keysDir), alg, schedule);
  if (signsFrom === undefined) throw mistake(`${alg} has keys already: see keyturn keys list`);
  print(json, { alg, signs_from: signsFrom }, () =>
    [
      `The first ${alg} key is published, and signs from ${when(signsFrom, now)}, when every cache must know it.`,
      `Then: keyturn resource update <audience-uri> --alg ${alg}`,
    ].join('\n'),
  );
}

/** Waits until every live instance has reported the key-encryption key; names it then and not before. */
async function name(database: Context['database'], target: string, file: string): Promise<void> {
  const deadline = performance.now() + reportPatience;
  await callForKeyEncryptionKeys(database);
  for (;;) {
    const lacking = await nameSealingKey(database, target);
    if (lacking.length === 0) return;
    if (performance.now() > deadline) {
      throw new Failure(
        1,
        `nothing was changed, since ${lacking.join(' and ')} does not hold ${target}: put ${file} into the KEYS_DIR of ` +
          `each instance, then keyturn keys rewrap --to ${target}`,
      );
    }
    await delay(250);
  }
}

/** Goes over the rows until none is left under another one, as somebody may have sealed one meanwhile. */
async function resealAll(database: Context['database'], held: KeyEncryptionKeys, target: string): Promise<number> {
  let moved = 0;
  for (let round = 0; round < 3; round += 1) moved += await reseal(database, held);
  const left = [...(await listSealedRows(database))].filter(([id]) => id !== target);
  if (left.length === 0) return moved;
  const what = left.map(([id, rows]) => `${rowsInWords(rows)} under ${id}`).join(', ');
  throw new Failure(1, `${moved} rows were moved, and ${what} are left: put the file back and run it again`);
}

async function giveUpByHand(
  { database, now }: Context,
  id: string,
  options: { yes?: true; json?: true },
): Promise<void> {
  const rows = (await listSealedRows(database)).get(id);
  const { sealingKey } = await readIssuerState(database);
  if (rows === undefined && sealingKey !== id) throw mistake(`nothing is sealed under ${id}`);
  const holders = (await listLiveInstances(database)).filter(({ keyEncryptionKeys }) => keyEncryptionKeys.includes(id));
  if (holders.length > 0) {
    throw new Failure(
      1,
      `${holders.map((one) => one.id).join(' and ')} held ${id} within the last minute: it is not lost while that runs`,
    );
  }
  const what = rows === undefined ? 'nothing but what is to come' : rowsInWords(rows);
  if (!options.yes)
    throw mistake(`${what} would be given up, for good; nothing was done: add --yes if nobody has ${id}`);
  const { erased, removed, interactions } = await giveUp(database, id, now);
  print(options.json, { erased, removed, sign_ins: interactions }, () =>
    [
      `${what} under ${id} given up.`,
      ...erased.map((kid) => `${kid} signs no more; its tokens verify until they expire.`),
      ...removed.map((kid) => `${kid} was a standby, and is gone.`),
      'The next server to start makes new keys, which sign at once: verifiers fetch the JWKS anew, or refuse until they do.',
    ].join('\n'),
  );
}
