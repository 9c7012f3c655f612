import { pino } from 'pino';
import { test } from 'tap';
import { createApp } from '../src/app.ts';
import { readConfig } from '../src/config.ts';
import { createTestClock } from './support/clock.ts';
import {
  type Answer,
  get,
  post,
  registerClient,
  registerResource,
  startIssuer,
  type TestIssuer,
  temporaryFolder,
} from './support/issuer.ts';
import { project } from './support/project.ts';

const documents = [
  '/.well-known/jwks.json',
  '/.well-known/openid-configuration',
  '/.well-known/oauth-authorization-server',
];

function checkUnavailable(t: Tap, { status, headers, json }: Answer, about: string): void {
  t.equal(status, 503, about);
  t.match(headers['retry-after'], /^[1-9]\d*$/, about);
  t.equal(headers['cache-control'], 'no-store', about);
  t.equal(json.error, 'temporarily_unavailable', about);
}

type Tap = Pick<import('tap').Test, 'equal' | 'match'>;

test('before the database was read once, everything but health is 503 with Retry-After', async (t) => {
  const keysDir = await temporaryFolder(t);
  const config = readConfig({ KEYS_DIR: keysDir }, { cwd: keysDir });
  if (!config.ok) throw new Error(config.mistakes.join('\n'));
  const app = await createApp({
    config: config.config,
    databaseUrl: 'postgresql://nobody:nothing@127.0.0.1:1/nowhere',
    log: pino({ level: 'silent' }),
    version: 'test',
    migrations: project('prisma/migrations'),
  });
  t.teardown(() => app.close());
  const issuer = { app } as TestIssuer;

  for (const form of ['grant_type=client_credentials', 'not=a&not=form', '']) {
    checkUnavailable(t, await post(issuer, '/token', form), form);
  }
  checkUnavailable(
    t,
    await post(issuer, '/token', '{}', { 'content-type': 'application/json' }),
    'before the body is read',
  );
  for (const path of documents) {
    const answer = await get(issuer, path);
    checkUnavailable(t, answer, path);
    t.equal(answer.headers['access-control-allow-origin'], '*', 'a page may learn why');
  }
  t.equal((await get(issuer, '/health/live')).status, 200);
  const ready = await get(issuer, '/health/ready');
  t.equal(ready.status, 503);
  t.equal(ready.headers['cache-control'], 'no-store');
  t.match(ready.json, { status: 'starting' });
  t.equal((await get(issuer, '/nothing')).status, 404);
});

test('with a clock that is off the database nothing is issued, and the documents stay', async (t) => {
  let offset = 0;
  const issuer = await startIssuer(t, { clock: { ...createTestClock(), offset: () => offset } });
  await registerResource(issuer);
  const { basic } = await registerClient(issuer);
  const ask = () => post(issuer, '/token', 'grant_type=client_credentials', { authorization: basic });
  for (const tolerated of [5_000, -5_000]) {
    offset = tolerated;
    t.equal((await ask()).status, 200);
    t.equal((await get(issuer, '/health/ready')).status, 200);
  }
  for (const wrong of [5_001, -5_001]) {
    offset = wrong;
    checkUnavailable(t, await ask(), String(wrong));
    t.equal((await get(issuer, '/health/ready')).status, 503);
    t.equal((await get(issuer, '/health/live')).status, 200);
    for (const path of documents) t.equal((await get(issuer, path)).status, 200, path);
  }
});
