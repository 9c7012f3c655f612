import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import tap, { type Test, test } from 'tap';
import { readTraceSettings } from '../src/telemetry/standard-variables.ts';
import { statementName } from '../src/telemetry/statement-name.ts';
import { createBrowser } from './support/browser.ts';
import { freePort, registerResource, startIssuer, temporaryFolder } from './support/issuer.ts';
import { startLogoutReceiver } from './support/logout-receiver.ts';
import {
  authorizePath,
  newVerifier,
  password,
  redirectUri,
  registerApp,
  registerUser,
  signIn,
} from './support/people.ts';
import { eventually, type ServerProcess, spawnServer } from './support/process.ts';
import { type ReceivedSpan, startTraceReceiver } from './support/trace-receiver.ts';

const logouts = await startLogoutReceiver(tap);
const issuer = await startIssuer(tap, { listen: true });
await registerResource(issuer);
const user = await registerUser(issuer);
const app = await registerApp(issuer, {
  grantTypes: ['authorization_code', 'refresh_token', 'client_credentials'],
  backchannelLogoutUri: `${logouts.uri}?with=a-query`,
});
await issuer.app.close();

/** The issuer as a process, as only that reads the environment. */
function spawn(t: Test, settings: Record<string, string>): Promise<ServerProcess> {
  return spawnServer(t, {
    DATABASE_URL: issuer.databaseUrl,
    KEYS_DIR: issuer.keysDir,
    ISSUER: issuer.issuer,
    PORT: new URL(issuer.issuer).port,
    OTEL_BSP_SCHEDULE_DELAY: '50',
    ...settings,
  });
}

async function post(path: string, form: Record<string, string>, headers: Record<string, string> = {}) {
  const response = await fetch(`${issuer.issuer}${path}`, {
    method: 'POST',
    body: new URLSearchParams(form),
    headers: { authorization: app.basic, ...headers },
  });
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
  return { status: response.status, json: (await response.json()) as any };
}

/** Sign-in, code, refresh, sign-out. Answers all that nobody else may learn. */
async function walk(): Promise<string[]> {
  const browser = createBrowser(issuer, { sockets: true });
  const { verifier, challenge } = newVerifier();
  const { left } = await signIn(browser, authorizePath(app.id, challenge, { state: 'the-state', nonce: 'the-nonce' }));
  const cookies = [...browser.cookies.values()];
  const code = left?.searchParams.get('code') ?? '';
  const redeem = { grant_type: 'authorization_code', code, redirect_uri: redirectUri, code_verifier: verifier };
  const { json } = await post('/token', redeem);
  const { json: next } = await post('/token', { grant_type: 'refresh_token', refresh_token: json.refresh_token });
  await browser.open('/logout');
  await browser.submit({ decision: 'sign-out' });
  const tokens = [json.access_token, json.id_token, json.refresh_token, next.access_token, next.refresh_token];
  if (tokens.some((token) => typeof token !== 'string')) throw new Error('the walk did not get through');
  const names = [user.id, user.email, app.id, 'the-state', 'the-nonce', 'a-query', '127.0.0.1/'];
  return [password, code, verifier, app.secret, app.basic, ...tokens, ...cookies, ...names];
}

function childrenOf(spans: readonly ReceivedSpan[], parent: ReceivedSpan | undefined): string[] {
  return spans.filter((span) => span.parentSpanId === parent?.spanId).map(({ name }) => name);
}

test('a trace tells what a request did, and nothing of who or with what', async (t) => {
  const receiver = await startTraceReceiver(t);
  const server = await spawn(t, {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_SERVICE_NAME: 'our-issuer',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
  });
  const secrets = await walk();
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  await post('/token', { grant_type: 'client_credentials' }, { traceparent });
  await post(
    '/token',
    { grant_type: 'client_credentials' },
    { traceparent: `00-${'x'.repeat(32)}-zz`, authorization: '' },
  );
  await fetch(`${issuer.issuer}/health/ready`);
  await fetch(`${issuer.issuer}/somebody/made/this/up?token=${secrets[1]}`);
  server.kill('SIGTERM');
  await server.ended;
  t.equal(server.log().filter(({ level }) => Number(level) > 30).length, 0, 'nothing went wrong');

  const spans = receiver.spans();
  const named = (name: string) => spans.filter((span) => span.name === name);
  t.match(receiver.resource(), { 'service.name': 'our-issuer', 'deployment.environment.name': 'test' });
  t.ok(receiver.posts.every(({ path }) => path === '/v1/traces'));

  const [redeemed, refreshed, machine, refused] = named('POST /token');
  t.same(childrenOf(spans, redeemed).sort(), ['UPDATE grant', 'sign ES256', 'sign ES256', 'sign RS256']);
  t.same(childrenOf(spans, refreshed).sort(), ['UPDATE grant', 'sign ES256', 'sign ES256', 'sign RS256']);
  t.match(redeemed?.attributes, {
    'http.request.method': 'POST',
    'http.route': '/token',
    'http.response.status_code': 200,
  });
  t.match(machine, { traceId: traceparent.slice(3, 35), parentSpanId: traceparent.slice(36, 52) }, 'continued');
  t.same(childrenOf(spans, machine), ['sign ES256'], 'a token of a machine asks the database nothing');
  t.match(refused?.attributes, { 'http.response.status_code': 401, 'error.type': 'invalid_client' });
  t.equal(refused?.parentSpanId, undefined, 'what is no traceparent continues nothing');
  const proof = childrenOf(spans, named('POST /sign-in')[0]);
  t.ok(proof.includes('verify password') && proof.includes('INSERT session'), `${proof}`);

  const { headers } = await logouts.next();
  const [signOut] = named('POST /sign-out');
  const told = named('POST').find(({ parentSpanId }) => parentSpanId === signOut?.spanId);
  t.equal(
    headers.traceparent,
    `00-${told?.traceId}-${told?.spanId}-01`,
    'who is told of a sign-out learns of the trace',
  );
  t.same(
    spans.filter(({ kind, parentSpanId }) => kind !== 2 && parentSpanId === undefined),
    [],
    'what nobody waits for is not traced',
  );
  for (const path of ['health', 'made']) t.notMatch(JSON.stringify(spans), path);

  const exported = Buffer.concat(receiver.posts.map(({ body }) => body)).toString();
  for (const secret of secrets) {
    for (const spelling of [secret, encodeURIComponent(secret)]) t.notOk(exported.includes(spelling), secret);
  }
});

test('protobuf is the default; nothing secret is in it either', async (t) => {
  const receiver = await startTraceReceiver(t);
  const server = await spawn(t, { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${receiver.endpoint}/at/a/path` });
  const secrets = await walk();
  server.kill('SIGTERM');
  await server.ended;
  t.ok(receiver.posts.length > 0);
  t.ok(receiver.posts.every(({ path, type }) => path === '/at/a/path' && type === 'application/x-protobuf'));
  const exported = Buffer.concat(receiver.posts.map(({ body }) => body)).toString('latin1');
  t.match(exported, /UPDATE grant/);
  for (const secret of secrets) t.notOk(exported.includes(secret), secret);
});

test('a sampler is asked, and who is asked first has said it all', async (t) => {
  const receiver = await startTraceReceiver(t);
  const server = await spawn(t, {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_TRACES_SAMPLER: 'parentbased_always_off',
  });
  await post('/token', { grant_type: 'client_credentials' });
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  await post('/token', { grant_type: 'client_credentials' }, { traceparent });
  server.kill('SIGTERM');
  await server.ended;
  t.same(
    receiver
      .spans()
      .map(({ name }) => name)
      .sort(),
    ['POST /token', 'sign ES256'],
  );
});

test('a receiver that is down, slow or angry harms nothing', async (t) => {
  const hanging = await startTraceReceiver(t, () => undefined);
  const angry = await startTraceReceiver(t, (_request, response) => {
    response.writeHead(400, 'a-secret-of-the-receiver').end('another-secret-of-the-receiver');
  });
  const endpoints = { down: `http://127.0.0.1:${await freePort()}`, slow: hanging.endpoint, angry: angry.endpoint };
  for (const [how, endpoint] of Object.entries(endpoints)) {
    const server = await spawn(t, { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint });
    for (let count = 0; count < 20; count += 1) {
      t.equal((await post('/token', { grant_type: 'client_credentials' })).status, 200, how);
    }
    const warnings = () => server.log().filter(({ msg }) => /^traces: /.test(String(msg)));
    if (how === 'slow') await eventually(() => hanging.posts.length > 0);
    if (how === 'angry') await eventually(() => warnings().length > 0);
    t.ok(warnings().length <= 1, 'said once, however often it comes');
    t.notMatch(server.stderr(), /secret-of-the-receiver/);
    const begun = performance.now();
    server.kill('SIGTERM');
    t.match(await server.ended, { code: 0 });
    t.ok(performance.now() - begun < 5_000, 'it does not hold up the end');
  }
});

/** What of node_modules a process had loaded when it ended: V8 says so where it is to record coverage. */
async function loaded(t: Test, settings: Record<string, string>): Promise<Set<string>> {
  const folder = await temporaryFolder(t);
  const server = await spawn(t, { NODE_V8_COVERAGE: folder, ...settings });
  t.equal((await post('/token', { grant_type: 'client_credentials' })).status, 200);
  server.kill('SIGTERM');
  t.equal((await server.ended).code, 0);
  const texts = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
  const packages = texts.flatMap((text) => [...text.matchAll(/\/node_modules\/(@[^/]+\/[^/]+|[^/]+)\//g)]);
  return new Set(packages.map(([, name = '']) => name));
}

test('without the variables, and without ADMIN_PORT, their packages are not loaded', async (t) => {
  const plain = await loaded(t, {});
  t.ok(plain.has('fastify'), 'it is known what was loaded');
  const ours = [...plain].filter((name) => name.startsWith('@opentelemetry/') || name === 'prom-client');
  t.same(ours, ['@opentelemetry/api'], "nothing but what Prisma's client loads");
  const wanted = await loaded(t, { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', ADMIN_PORT: '0' });
  t.ok(wanted.has('@opentelemetry/sdk-trace-base') && wanted.has('prom-client'));
});

test('what is wrong with the variables is said at the start', async (t) => {
  for (const [settings, says] of [
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'user:secret@collector' }, /OTEL_EXPORTER_OTLP_ENDPOINT: .*http or https URL/],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'grpc' },
      /OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: .*http\/protobuf or http\/json/,
    ],
  ] as const) {
    const server = await spawn(t, settings);
    const { code, stderr } = await server.ended;
    t.equal(code, 2);
    t.match(stderr, says);
    t.notMatch(stderr, /secret/);
    t.equal(stderr.trim().split('\n').length, 1);
  }
});

test('which variables want traces', async (t) => {
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };
  t.equal(readTraceSettings({}), undefined);
  t.equal(readTraceSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: ' ' }), undefined, 'empty is not set');
  t.equal(readTraceSettings({ ...endpoint, OTEL_SDK_DISABLED: 'TRUE' }), undefined);
  t.equal(readTraceSettings({ ...endpoint, OTEL_TRACES_EXPORTER: 'none' }), undefined);
  t.same(readTraceSettings(endpoint), { protocol: 'http/protobuf' });
  t.same(readTraceSettings({ ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }), { protocol: 'http/json' });
  const both = { OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/protobuf', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' };
  t.same(readTraceSettings({ ...endpoint, ...both }), { protocol: 'http/protobuf' }, 'that of traces comes first');
});

test('the name of a statement has its verb and its table', async (t) => {
  for (const [text, name] of [
    ['UPDATE "grant" g SET generation = 1 FROM "user" u WHERE true', 'UPDATE grant'],
    [
      'WITH audited AS (INSERT INTO audit_event VALUES ($1))\n INSERT INTO sign_in_attempt AS known (key) SELECT 1',
      'INSERT sign_in_attempt',
    ],
    ['SELECT extract(epoch FROM at) FROM change WHERE id > $1', 'SELECT change'],
    ['SELECT "public"."user"."id" FROM "public"."user" WHERE 1=1', 'SELECT user'],
    ['WITH live AS (SELECT 1 FROM session s) SELECT * FROM live', 'SELECT session'],
    ['SELECT * FROM (SELECT 1 FROM unnest($1)) AS asked LEFT JOIN "user" u ON true', 'SELECT'],
    ['SELECT pg_advisory_xact_lock($1)', 'SELECT'],
    ['BEGIN', 'BEGIN'],
    ['', 'SQL'],
  ] as const) {
    t.equal(statementName(text), name);
  }
});
