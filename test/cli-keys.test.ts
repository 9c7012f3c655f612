import { t as file, type Test, test } from 'tap';
import { paint } from '../scripts/cli/output.ts';
import { scheduleOf } from '../src/keys/lifecycle.ts';
import { emptyDatabase, freshDatabase } from './support/database.ts';
import { get, startIssuer } from './support/issuer.ts';
import { type Ended, keyturn } from './support/process.ts';
import { execute, withDatabase } from './support/run.ts';

type Keys = (...args: string[]) => Promise<Ended>;

interface Row extends Record<string, unknown> {
  kid: string;
  alg: string;
  created: number;
  signsFrom: number;
}

/** A database with the keys of a first start, whose issuer has ended: nothing changes there but by commands. */
const first = await startIssuer(file);
const { databaseUrl: made } = first;
await first.app.close();
const { lead, keepPublished } = scheduleOf({ signFor: 0, jwksMaxAge: 600, longestTokenTtl: 600, longestGrant: 0 });

/** A copy of it. */
async function withKeys(t: Test): Promise<{ url: string; run: Keys }> {
  const { url } = await emptyDatabase(t);
  const name = new URL(url).pathname.slice(1);
  const elsewhere = withDatabase(url, 'postgres');
  await execute(elsewhere, `DROP DATABASE ${name}`);
  await execute(elsewhere, `CREATE DATABASE ${name} TEMPLATE ${new URL(made).pathname.slice(1)}`);
  const run = (...args: string[]) => keyturn({ DATABASE_URL: url }, 'keys', ...args);
  return { url, run };
}

/** Every column of every key, the older of each algorithm first. */
async function rows(url: string): Promise<Row[]> {
  const found = await execute(
    url,
    `SELECT *, extract(epoch FROM created_at)::float8 AS created, extract(epoch FROM signs_from)::float8 AS "signsFrom"
     FROM signing_key ORDER BY alg, signs_from`,
  );
  return found as Row[];
}

/** What differs between the rows before and after, by kid. */
function changes(before: Row[], after: Row[]): Record<string, string[]> {
  const changed = after.map((row) => {
    const old = before.find(({ kid }) => kid === row.kid);
    const columns = Object.keys(row).filter((name) => JSON.stringify(row[name]) !== JSON.stringify(old?.[name]));
    return [row.kid, columns] as const;
  });
  return Object.fromEntries(changed.filter(([, columns]) => columns.length > 0));
}

test('keys list shows each key with its phase and times', async (t) => {
  const { url, run } = await withKeys(t);
  const words = await run('list');
  t.equal(words.code, 0);
  const stamp = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`;
  const life = (alg: string) =>
    new RegExp(
      String.raw`^${alg}

  standby    [\w-]{43}
    ▸ ${stamp}  (now|\d+ s ago) +in the JWKS, for caches to learn of it
      ${stamp}  in 29 d 23 h +signs

  signing    [\w-]{43}
      ${stamp}  .+in the JWKS, for caches to learn of it
    [▸ ] ${stamp}  .+signs
      ${stamp}  in 29 d 23 h +signs no more; published until its last token has expired
      ${stamp}  in (29 d 23 h|30 d) +private half erased
      ${stamp}  in 30 d +out of the JWKS
      ${stamp}  in 60 d +row removed$`,
      'm',
    );
  t.match(words.stdout, new RegExp(`^now ${stamp}\n`));
  for (const alg of ['ES256', 'RS256']) t.match(words.stdout, life(alg), alg);
  t.notMatch(words.stdout, '\x1b', 'no colours in a pipe');
  const [signer, standby] = await rows(url);
  const [, first] = JSON.parse((await run('list', '--json')).stdout);
  t.same(first, {
    kid: signer?.kid,
    alg: 'ES256',
    phase: 'signing',
    published_from: signer?.created,
    signs_from: signer?.signsFrom,
    signs_until: standby?.signsFrom,
    published_until: (standby?.signsFrom ?? 0) + keepPublished,
    forgotten_from: (standby?.signsFrom ?? 0) + keepPublished + 2_592_000,
    sealed_under: first.sealed_under,
  });
  t.match(first.sealed_under, /^kek_/);

  const none = (await freshDatabase(t)).url;
  t.match(await keyturn({ DATABASE_URL: none }, 'keys', 'list'), { code: 0, stdout: /^no keys yet/ });
});

test('keys rotate says first what it would do, then brings the standbys forward to when every cache knows them', async (t) => {
  const { url, run } = await withKeys(t);
  const before = await rows(url);
  const [signer, standby] = before as [Row, Row];
  const trial = await run('rotate', '--dry-run');
  t.equal(trial.code, 0);
  t.match(
    trial.stdout,
    new RegExp(`^ES256: ${standby.kid} would start to sign at \\S+Z \\(in (19 min \\d+ s|20 min( \\d+ s)?)\\)$`, 'm'),
  );
  t.match(trial.stdout, /not sooner, because until then some cache may hold a JWKS without it/);
  const turn = standby.created + lead;
  t.match(trial.stdout, `  ${signer.kid} signs until then\n    its private half is erased at ${utc(turn + 6)} (in `);
  t.match(trial.stdout, `    it is published until ${utc(turn + keepPublished)} (in `);
  t.match(trial.stdout, `    its row is kept until ${utc(turn + keepPublished + 2_592_000)} (in `);
  t.match(trial.stdout, `  a new standby is published then, to sign from ${utc(turn + 2_592_000)} (in `);
  t.same(await rows(url), before, 'a dry run does nothing');

  const outcomes = JSON.parse((await run('rotate', '--json')).stdout);
  const after = await rows(url);
  const standbys = before.filter((_, index) => index % 2 === 1);
  t.same(changes(before, after), Object.fromEntries(standbys.map(({ kid }) => [kid, ['signs_from', 'signsFrom']])));
  t.same(
    outcomes,
    ['ES256', 'RS256'].map((alg, index) => ({
      alg,
      signer: before[2 * index]?.kid,
      standby: standbys[index]?.kid,
      signs_from: (standbys[index]?.created ?? 0) + lead,
      changed: true,
    })),
  );
  for (const { kid, created, signsFrom } of after.filter(({ kid }) => standbys.some((key) => key.kid === kid))) {
    t.equal(signsFrom, created + lead, kid);
  }

  const again = await run('rotate');
  t.equal(again.code, 0);
  t.match(again.stdout, /as it was already going to; nothing was changed/);
  t.same(await rows(url), after);
});

test('keys rotate --now starts the standby at once, of one algorithm where that is asked', async (t) => {
  const { url, run } = await withKeys(t);
  const before = await rows(url);
  const [signer, standby] = before as [Row, Row];
  const rotated = await run('rotate', '--now', '--alg', 'ES256');
  t.equal(rotated.code, 0);
  t.match(rotated.stdout, `ES256: ${standby.kid} starts to sign now\n`);
  t.match(rotated.stdout, /some caches may hold a JWKS without it until /);
  t.notMatch(rotated.stdout, 'RS256');
  const after = await rows(url);
  t.same(changes(before, after), { [standby.kid]: ['signs_from', 'signsFrom'] });
  t.same(await phases(run), { [standby.kid]: 'signing', [signer.kid]: 'retired' });

  const hasty = await run('rotate', '--now');
  t.equal(hasty.code, 1, 'no server runs that would have made the next standby');
  t.match(hasty.stdout, /^ES256: no standby is published$/m);
  t.match(hasty.stdout, /^RS256: \S+ starts to sign now$/m);
  t.equal(hasty.stderr, 'keyturn: no standby is published yet: a running server makes one within seconds; try again\n');
});

/** An instant as people are told of it. */
function utc(at: number): string {
  return `${new Date(at * 1000).toISOString().slice(0, 19)}Z`;
}

test('colours are for terminals, and for those who have not asked for none', async (t) => {
  const terminal = Object.getOwnPropertyDescriptor(process.stdout, 'isTTY');
  const { NO_COLOR, TERM } = process.env;
  t.teardown(() => {
    if (terminal === undefined) delete (process.stdout as { isTTY?: boolean }).isTTY;
    else Object.defineProperty(process.stdout, 'isTTY', terminal);
    Object.assign(process.env, { ...(NO_COLOR && { NO_COLOR }), ...(TERM && { TERM }) });
  });
  delete process.env.NO_COLOR;
  process.env.TERM = 'xterm';
  Object.defineProperty(process.stdout, 'isTTY', { value: true, configurable: true });
  t.equal(paint('green', 'x'), '\x1b[32mx\x1b[0m');
  process.env.TERM = 'dumb';
  t.equal(paint('green', 'x'), 'x');
  process.env.TERM = 'xterm';
  process.env.NO_COLOR = '1';
  t.equal(paint('green', 'x'), 'x');
  delete process.env.NO_COLOR;
  Object.defineProperty(process.stdout, 'isTTY', { value: false, configurable: true });
  t.equal(paint('green', 'x'), 'x');
});

/** The phases of the ES256 keys. */
async function phases(run: Keys): Promise<Record<string, string>> {
  const keys: { kid: string; alg: string; phase: string }[] = JSON.parse((await run('list', '--json')).stdout);
  return Object.fromEntries(keys.filter(({ alg }) => alg === 'ES256').map(({ kid, phase }) => [kid, phase]));
}

test('keys revoke withdraws a key for good, and its standby signs at once', async (t) => {
  const { url, run } = await withKeys(t);
  const before = await rows(url);
  const [signer, standby] = before as [Row, Row];
  const revoked = await run('revoke', signer.kid);
  t.equal(revoked.code, 0);
  t.match(
    revoked.stdout,
    `${signer.kid} is revoked: it no longer signs, and the JWKS no longer shows it.\n${standby.kid} signs from now on.\n`,
  );
  t.match(revoked.stdout, 'within 10 min.');
  const after = await rows(url);
  t.same(changes(before, after), {
    [signer.kid]: ['sealed_private_jwk', 'revoked_at'],
    [standby.kid]: ['signs_from', 'signsFrom'],
  });
  t.equal(after.find(({ kid }) => kid === signer.kid)?.sealed_private_jwk, null, 'its private half is erased');
  t.same(await phases(run), { [standby.kid]: 'signing', [signer.kid]: 'revoked' });

  const again = await run('revoke', signer.kid, '--json');
  t.same(JSON.parse(again.stdout), { kid: signer.kid, already_revoked: true, successor: null, refresh_tokens: 0 });
  t.same(await rows(url), after);
});

test('keys revoke twice in a row leaves nobody to sign until a server makes a key, and notes the reason', async (t) => {
  const { url, run } = await withKeys(t);
  const [signer, standby] = (await rows(url)) as [Row, Row];
  t.equal((await run('revoke', signer.kid, '--reason', 'laptop stolen, ticket 4711')).code, 0);
  const second = await run('revoke', standby.kid);
  t.equal(second.code, 0);
  t.match(
    second.stdout,
    'There was no standby: a running server makes a new key within seconds, which no cache knows yet.',
  );
  t.same(await phases(run), { [standby.kid]: 'revoked', [signer.kid]: 'revoked' });
  const noted = await execute(url, 'SELECT reason FROM revocation ORDER BY id');
  t.same(noted, [{ reason: 'laptop stolen, ticket 4711' }, { reason: 'by command' }]);
  for (const reason of ['', 'a\nb', 'x'.repeat(201)]) {
    t.match(await run('revoke', signer.kid, '--reason', reason), {
      code: 2,
      stderr: /^keyturn: .*1 to 200 characters/,
    });
  }

  const server = await startIssuer(t, { beside: { ...first, databaseUrl: url } });
  const after = await phases(run);
  t.same(Object.values(after).sort(), ['revoked', 'revoked', 'signing', 'standby'], 'the server has made two');
  t.same((await get(server, '/health/ready')).json, { status: 'ok' });
});
