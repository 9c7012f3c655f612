/** What a verifier sees of the keys, against what the database says. */
import { setTimeout as delay } from 'node:timers/promises';
import { publishedAt, standbyOf } from '../../src/keys/lifecycle.ts';
import { listSigningKeys } from '../../src/store/signing-key.ts';
import type { Finding, Patient } from './doctor-checks.ts';
import { durationInWords } from './output.ts';

const about = 'jwks';

/** Milliseconds that an answer may take. */
const patience = 5_000;

interface Fetched {
  readonly kids: string[];
  readonly maxAge: number | undefined;
}

/** Fetches the JWKS from where verifiers do, and compares it with the database. */
export async function checkJwks(patient: Patient): Promise<Finding[]> {
  const { config, instances } = patient;
  const url = `${config.issuer}/.well-known/jwks.json`;
  try {
    return [await checkKeys(patient, url), ...checkCaching(patient, await fetchJwks(url))];
  } catch (error) {
    const level = instances.length > 0 ? 'problem' : 'warning';
    return [{ about, level, says: `${url} gives no JWKS: ${(error as Error).message}` }];
  }
}

/** A change may have been made in between, so what differs is looked at once more. */
async function checkKeys({ database, now, schedule }: Patient, url: string): Promise<Finding> {
  const began = performance.now();
  for (let attempt = 1; ; attempt += 1) {
    const { kids } = await fetchJwks(url);
    const rows = await listSigningKeys(database);
    const later = now + Math.round((performance.now() - began) / 1000);
    const expected = [...new Set(rows.map(({ alg }) => alg))].flatMap((alg) =>
      publishedAt(
        rows.filter((row) => row.alg === alg),
        later,
        schedule,
      ).map(({ kid }) => kid),
    );
    const missing = expected.filter((kid) => !kids.includes(kid));
    const extra = kids.filter((kid) => !expected.includes(kid));
    if (missing.length + extra.length === 0) {
      return { about, level: 'ok', says: `${url} shows the ${kids.length} keys that the database says are published` };
    }
    if (attempt === 2) {
      const differs = [
        ...(missing.length > 0 ? [`lacks ${missing.join(' and ')}`] : []),
        ...(extra.length > 0 ? [`still shows ${extra.join(' and ')}`] : []),
      ];
      return { about, level: 'problem', says: `${url} ${differs.join(', and ')}: an old copy, or another issuer` };
    }
    await delay(2_000);
  }
}

/** The life of caches against how long before it signs a key is published. */
function checkCaching({ keys, now, schedule, config }: Patient, { maxAge }: Fetched): Finding[] {
  const findings: Finding[] = [];
  if (maxAge !== config.jwksMaxAge) {
    const says = `Cache-Control says max-age ${maxAge ?? 'nothing'}, JWKS_MAX_AGE says ${config.jwksMaxAge}`;
    findings.push({ about, level: maxAge === undefined || maxAge > config.jwksMaxAge ? 'problem' : 'warning', says });
  }
  for (const alg of new Set(keys.map((key) => key.alg))) {
    const standby = standbyOf(
      keys.filter((key) => key.alg === alg),
      now,
    );
    if (standby === undefined) continue;
    const announced = standby.signsFrom - standby.createdAt;
    const says = `${alg}: the standby is published ${durationInWords(announced)} before it signs, caches may take ${durationInWords(schedule.lead)}`;
    findings.push({ about, level: announced < schedule.lead ? 'warning' : 'ok', says });
  }
  return findings;
}

async function fetchJwks(url: string): Promise<Fetched> {
  const response = await fetch(url, { signal: AbortSignal.timeout(patience), redirect: 'error' }).catch((error) => {
    throw new Error(String((error as Error & { cause?: Error }).cause?.message ?? (error as Error).message));
  });
  if (response.status !== 200) throw new Error(`it answers ${response.status}`);
  const { keys } = (await response.json()) as { keys?: { kid: string }[] };
  if (!Array.isArray(keys)) throw new Error('what it answers is no JWKS');
  const age = /(?:^|[,\s])max-age=(\d+)/.exec(response.headers.get('cache-control') ?? '')?.[1];
  return { kids: keys.map(({ kid }) => kid), maxAge: age === undefined ? undefined : Number(age) };
}
