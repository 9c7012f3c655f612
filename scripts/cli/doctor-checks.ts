/** What `keyturn doctor` looks at, one function each. None changes anything. */
import { sealedUnder } from '../../src/crypto/sealing.ts';
import {
  type KeyEncryptionKeys,
  keyEncryptionKeyFile,
  readKeyEncryptionKeys,
} from '../../src/keys/key-encryption-keys.ts';
import { clockSkew, plan, signerOf, standbyOf, stopsSigningAt } from '../../src/keys/lifecycle.ts';
import { listSealedRows, rowsInWords, type SealedRows } from '../../src/keys/sealed-rows.ts';
import { comingEvents } from '../../src/keys/timeline.ts';
import type { SigningKey } from '../../src/protocol/signing-key.ts';
import { type Instance, listLiveInstances } from '../../src/store/instance.ts';
import { readIssuerState } from '../../src/store/issuer.ts';
import { listSigningKeys } from '../../src/store/signing-key.ts';
import type { Context } from './context.ts';
import { checkJwks } from './doctor-jwks.ts';
import { durationInWords, when } from './output.ts';

/** One thing that was looked at. A warning is no reason to wake anybody; a problem is. */
export interface Finding {
  readonly about: string;
  readonly level: 'ok' | 'warning' | 'problem';
  readonly says: string;
}

/** What the checks share. */
export interface Patient extends Context {
  readonly keys: readonly SigningKey[];
  readonly instances: readonly Instance[];
  /** Id of the key-encryption key that seals. */
  readonly sealingKey: string | null;
  readonly sealed: ReadonlyMap<string, SealedRows>;
}

/** Looks at everything, in the order in which one would mend it. */
export async function examine(context: Context): Promise<Finding[]> {
  const { database } = context;
  const patient: Patient = {
    ...context,
    keys: await listSigningKeys(database),
    instances: await listLiveInstances(database),
    sealingKey: (await readIssuerState(database)).sealingKey,
    sealed: await listSealedRows(database),
  };
  return [
    { about: 'database', level: 'ok', says: `reached at ${database.address.host}; all migrations are applied` },
    await checkClock(patient),
    ...checkInstances(patient),
    ...(await checkKeyEncryptionKeys(patient)),
    ...checkSigningKeys(patient),
    ...checkComing(patient),
    ...(await checkJwks(patient)),
  ];
}

async function checkClock({ database }: Patient): Promise<Finding> {
  const asked = Date.now();
  const [row] = await database.query<{ now: number }>(
    'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now',
  );
  const off = Math.abs((row?.now ?? 0) - (asked + Date.now()) / 2) / 1000;
  const level = off > clockSkew ? 'problem' : off > clockSkew / 2 ? 'warning' : 'ok';
  const says = `this machine's clock is ${off.toFixed(1)} s off the database's (${clockSkew} s are tolerated)`;
  return { about: 'clock', level, says };
}

function checkInstances({ instances, sealed, sealingKey, now }: Patient): Finding[] {
  const about = 'instances';
  if (instances.length === 0) {
    return [{ about, level: 'warning', says: 'none has been seen within a minute: nobody turns keys' }];
  }
  const needed = new Set([...sealed.keys(), ...(sealingKey === null ? [] : [sealingKey])]);
  return instances.map(({ id, version, keyEncryptionKeys, startedAt }) => {
    const missing = [...needed].filter((kek) => !keyEncryptionKeys.includes(kek));
    const seen = `${id}, version ${version}, started ${when(startedAt, now)}, holds ${keyEncryptionKeys.join(' and ')}`;
    return missing.length === 0
      ? { about, level: 'ok', says: seen }
      : {
          about,
          level: 'problem',
          says: `${seen}, and lacks ${missing.join(' and ')}: put the file into its KEYS_DIR`,
        };
  });
}

async function checkKeyEncryptionKeys({ config, sealed, sealingKey, keys }: Patient): Promise<Finding[]> {
  const about = 'keys folder';
  let held: KeyEncryptionKeys;
  try {
    held = await readKeyEncryptionKeys(config.keysDir);
  } catch (error) {
    return [{ about, level: 'problem', says: (error as Error).message }];
  }
  if (sealingKey === null) {
    return [{ about, level: 'ok', says: 'no key-encryption key is named yet: the first server to start makes one' }];
  }
  const needed = new Set([sealingKey, ...sealed.keys()]);
  const findings: Finding[] = held.exposed.map((path) => ({
    about,
    level: 'problem',
    says: `others than its owner may get at ${path}: chmod go= ${path}`,
  }));
  for (const id of needed) {
    const uses = [id === sealingKey ? 'seals' : 'no longer seals', `needed for ${rowsInWords(sealed.get(id) ?? none)}`];
    findings.push(
      held.ids().includes(id)
        ? {
            about,
            level: id === sealingKey ? 'ok' : 'warning',
            says: `${id} ${uses.join(', ')}${rewrapHint(id, sealingKey)}`,
          }
        : {
            about,
            level: 'problem',
            says: `${id} ${uses.join(', ')}: ${keyEncryptionKeyFile(config.keysDir, id)} is missing`,
          },
    );
  }
  for (const id of held.ids().filter((other) => !needed.has(other))) {
    findings.push({
      about,
      level: 'ok',
      says: `${id} is not needed for anything in the database; backups may need it`,
    });
  }
  return [...findings, ...(await checkOpening(keys, held))];
}

const none: SealedRows = { signingKeys: [], interactions: 0 };

function rewrapHint(id: string, sealingKey: string): string {
  return id === sealingKey ? '' : '; keep its file until keyturn keys rewrap has moved them';
}

/** A private half that is damaged, or is not the one that its row is about. */
async function checkOpening(keys: readonly SigningKey[], held: KeyEncryptionKeys): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { kid, alg, sealedPrivateJwk, publicJwk } of keys) {
    if (sealedPrivateJwk === null || !held.ids().includes(sealedUnder(sealedPrivateJwk))) continue;
    const opened = (await held.open(sealedPrivateJwk).catch(() => ({}))) as Record<string, unknown>;
    if (Object.entries(publicJwk).every(([member, value]) => opened[member] === value)) continue;
    const says = `the private half of ${alg} key ${kid} cannot be opened: keyturn keys revoke ${kid}`;
    findings.push({ about: 'keys', level: 'problem', says });
  }
  return findings;
}

function checkSigningKeys({ keys, instances, now, schedule, config }: Patient): Finding[] {
  const about = 'keys';
  if (keys.length === 0)
    return [{ about, level: 'warning', says: 'there are none yet: the first server to start makes them' }];
  const longer: Finding = {
    about,
    level: 'ok',
    says:
      `they sign for ${durationInWords(schedule.signFor)}, longer than KEY_SIGN_FOR, as tokens live so long that more ` +
      'than four of them would have to be published',
  };
  const byAlg = [...new Set(keys.map(({ alg }) => alg))].sort().map((alg): Finding => {
    const ofAlg = keys.filter((key) => key.alg === alg);
    const [signer, standby] = [signerOf(ofAlg, now), standbyOf(ofAlg, now)];
    const due = plan(alg, ofAlg, now, schedule).map(({ act, reason }) => `${act}: ${reason}`);
    const late = due.length > 0 && instances.length > 0 ? `; due: ${due.join(', ')}` : '';
    if (signer === undefined) {
      if (standby === undefined || late !== '') return { about, level: 'problem', says: `${alg}: no key signs${late}` };
      return { about, level: 'ok', says: `${alg}: the first key signs from ${when(standby.signsFrom, now)}` };
    }
    const until = stopsSigningAt(signer, ofAlg);
    const age = durationInWords(now - signer.signsFrom);
    const next = until === null ? 'no standby is published' : `until ${when(until, now)}, its standby is published`;
    const says = `${alg}: ${signer.kid} has signed for ${age}, ${next}${late}`;
    return { about, level: standby === undefined || late !== '' ? 'warning' : 'ok', says };
  });
  return schedule.signFor > config.keySignFor ? [...byAlg, longer] : byAlg;
}

function checkComing({ keys, now, schedule }: Patient): Finding[] {
  return comingEvents(keys, now, schedule)
    .slice(0, 4)
    .map(({ at, what, kid, alg }) => ({
      about: 'next',
      level: 'ok',
      says: `${when(at, now)}: ${alg} ${kid} ${verbs[what]}`,
    }));
}

const verbs = {
  published: 'is published',
  signs: 'starts to sign',
  retired: 'stops signing',
  erased: 'loses its private half',
  withdrawn: 'leaves the JWKS',
  revoked: 'is revoked',
  forgotten: 'is forgotten',
} as const;
