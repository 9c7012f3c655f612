/** Explains a token to a person: what is in it, and what is right and wrong with it. */
import { createDenylist, type Denylist, type RevocableToken } from '@keyturn/verifier/denylist';
import { compactVerify, decodeProtectedHeader, importJWK, type JWK } from 'jose';
import { algorithms } from '../crypto/algorithms.ts';
import { phaseOf, type Schedule } from '../keys/lifecycle.ts';
import type { SigningKey } from '../protocol/signing-key.ts';
import type { NumericDate } from '../protocol/time.ts';
import type { Database } from '../store/database.ts';
import { listRevocations } from '../store/revocation.ts';
import { listSigningKeys } from '../store/signing-key.ts';

/** One thing that was looked at. */
export interface Finding {
  readonly about: string;
  readonly good: boolean;
  readonly says: string;
}

export interface Inspection {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly findings: readonly Finding[];
}

export interface InspectOptions {
  readonly issuer: string;
  readonly keys: readonly SigningKey[];
  readonly schedule: Schedule;
  readonly denylist: Pick<Denylist, 'isVoid'>;
  readonly now: NumericDate;
}

/** The same by what the database holds now. */
export async function inspectTokenBy(
  database: Database,
  token: string,
  known: Pick<InspectOptions, 'issuer' | 'schedule' | 'now'>,
): Promise<Inspection | undefined> {
  const denylist = createDenylist();
  denylist.add(await listRevocations(database, 0));
  return inspectToken(token, { ...known, denylist, keys: await listSigningKeys(database) });
}

/** Undefined where the text is not a JWT at all (RFC 7519 §7.2: three base64url parts, two of them JSON objects). */
export async function inspectToken(token: string, options: InspectOptions): Promise<Inspection | undefined> {
  const { issuer, keys, schedule, denylist, now } = options;
  const parts = token.split('.');
  const [header, claims] = [parseObject(parts[0]), parseObject(parts[1])];
  if (parts.length !== 3 || header === undefined || claims === undefined) return undefined;

  const findings: Finding[] = [];
  const find = (about: string, good: boolean, says: string) => findings.push({ about, good, says });
  const { alg, kid } = header;
  const known = typeof alg === 'string' && algorithms.has(alg);
  find('algorithm', known, known ? `${alg} is one that we sign with` : 'not one that we sign with');

  const key = keys.find((candidate) => candidate.kid === kid && candidate.alg === alg);
  if (key === undefined) find('key', false, 'no key of ours has this kid and algorithm');
  else {
    const phase = phaseOf(
      key,
      keys.filter((other) => other.alg === key.alg),
      now,
      schedule,
    );
    const published = phase === 'standby' || phase === 'signing' || phase === 'retired';
    find('key', published, published ? `${phase}, published` : `${phase}: verifiers do not have it any more`);
    const valid = await verifies(token, key);
    find('signature', valid, valid ? 'made by this key over exactly this text' : 'not made by this key over this text');
  }
  const strict = parts.every((part) => Buffer.from(part, 'base64url').toString('base64url') === part);
  find('spelling', strict, strict ? 'base64url in its one right spelling' : 'base64url with stray bits or signs');
  find('issuer', claims.iss === issuer, claims.iss === issuer ? 'us' : `not us (${issuer})`);
  if (typeof claims.exp !== 'number') find('expiry', false, 'it has none');
  else find('expiry', now < claims.exp, now < claims.exp ? 'still alive' : 'expired');
  if (isRevocable(claims) && typeof kid === 'string') {
    const revoked = denylist.isVoid(kid, claims);
    find('denylist', !revoked, revoked ? 'revoked: it, its grant, its key, its user or its client' : 'not on it');
  }
  if (typeof claims.iat === 'number' && claims.iat > now + schedule.skew) find('issued', false, 'in the future');
  return { header, claims, findings };
}

function parseObject(part: string | undefined): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part ?? '', 'base64url').toString());
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the claims are those of an access token, which alone the denylist is about. */
function isRevocable(claims: Record<string, unknown>): claims is Record<string, unknown> & RevocableToken {
  const { jti, sub, client_id } = claims;
  return [jti, sub, client_id].every((claim) => typeof claim === 'string');
}

async function verifies(token: string, key: SigningKey): Promise<boolean> {
  try {
    decodeProtectedHeader(token);
    await compactVerify(token, await importJWK(key.publicJwk as JWK, key.alg), { algorithms: [key.alg] });
    return true;
  } catch {
    return false;
  }
}
