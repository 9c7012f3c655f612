import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import tap, { test } from 'tap';
import { createRevoker } from '../src/tokens/revocation.ts';
import { freePort, post, registerClient, registerResource, startIssuer, temporaryFolder } from './support/issuer.ts';
import { obtainTokens, redeem, registerApp, registerUser } from './support/people.ts';
import { eventually } from './support/process.ts';
import { project } from './support/project.ts';

const read = (path: string) => readFileSync(project(path), 'utf8');
const has = (command: string) => spawnSync(command, ['--version']).status === 0;
const without = (command: string) =>
  has(command) ? false : `${command} is not installed (Debian's package prometheus)`;

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

const dashboard = JSON.parse(read('monitoring/dashboard.json')) as { panels: Panel[] };
const panels = dashboard.panels.filter(({ targets }) => targets !== undefined);

const issuer = await startIssuer(tap, { settings: { ADMIN_PORT: '0' } });
await registerResource(issuer);
const machine = await registerClient(issuer);
await registerUser(issuer);
const app = await registerApp(issuer, { grantTypes: ['authorization_code', 'refresh_token'] });

/** A little of everything that is counted. */
async function live(): Promise<void> {
  const { basic: authorization } = machine;
  await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization });
  await post(issuer, '/token', { grant_type: 'client_credentials' }, { authorization: 'Basic eDp5' });
  const { code, verifier } = await obtainTokens(issuer, app);
  await redeem(issuer, app, code, verifier);
  const now = () => Math.floor(Date.now() / 1000);
  const elsewhere = createRevoker({ database: issuer.database, now, longestLife: () => 600 });
  await elsewhere.revokeToken({ jti: `of-somebody-${Math.random()}`, exp: undefined, clientId: undefined }, 'test');
  await issuer.app.refresh();
}

/** Names of series, without what a histogram adds. */
function namesIn(text: string): Set<string> {
  const names = [...text.matchAll(/\b(?:keyturn|nodejs|process)_[a-z0-9_]+/g)];
  return new Set(names.map(([name]) => name.replace(/_(bucket|sum|count)$/, '')));
}

test('every metric that rules, dashboard and documents speak of is there, and the document lists all', async (t) => {
  await live();
  const answer = await issuer.app.adminServer?.inject({ url: '/metrics' });
  const there = new Set([...(answer?.payload ?? '').matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name));
  t.ok(there.size > 40);
  for (const file of ['monitoring/alerts.yml', 'monitoring/dashboard.json', 'docs/monitoring.md', 'docs/operate.md']) {
    for (const name of namesIn(read(file))) t.ok(there.has(name), `${name} of ${file}`);
  }
  const explained = namesIn(read('docs/monitoring.md'));
  for (const name of there) if (name.startsWith('keyturn_')) t.ok(explained.has(name), `${name} is explained`);
});

test('every alert has a runbook, and every runbook an alert', async (t) => {
  const rules = read('monitoring/alerts.yml');
  const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name = '']) => name);
  const runbooks = [...rules.matchAll(/runbook: docs\/monitoring\.md#(\w+)/g)].map(([, anchor]) => anchor);
  const sections = [...read('docs/monitoring.md').matchAll(/^### (Keyturn\w+)$/gm)].map(([, title]) => title);
  t.ok(alerts.length > 10);
  t.same(
    runbooks,
    alerts.map((name) => name.toLowerCase()),
  );
  t.same(sections, alerts);
  for (const name of alerts) t.match(read('monitoring/alerts.test.yml'), `alertname="${name}"`, 'it is seen to fire');
});

test('the rules and the example are what Prometheus takes, and alerts fire when they should', {
  skip: without('promtool'),
}, async (t) => {
  for (const [kind, ...args] of [
    ['check', 'rules', 'monitoring/alerts.yml'],
    ['check', 'config', 'monitoring/prometheus.yml'],
    ['test', 'rules', 'monitoring/alerts.test.yml'],
  ] as const) {
    const { status, stdout, stderr } = spawnSync('promtool', [kind, ...args.slice(0, -1), project(args.at(-1) ?? '')]);
    t.equal(status, 0, `${stdout}${stderr}`);
  }
});

test('the answer keeps to the conventions', { skip: without('promtool') }, async (t) => {
  const answer = await issuer.app.adminServer?.inject({ url: '/metrics' });
  const { stdout, stderr, status } = spawnSync('promtool', ['check', 'metrics'], { input: answer?.payload });
  const complaints = `${stdout}${stderr}`.split('\n').filter((line) => line.startsWith('keyturn_'));
  t.same(complaints, []);
  t.not(status, 1, 'it can be read');
});

test('each panel of the dashboard shows something of a real issuer', { skip: without('prometheus') }, async (t) => {
  const { adminServer } = issuer.app;
  await adminServer?.listen({ host: '127.0.0.1', port: 0 });
  const folder = await temporaryFolder(t);
  const target = adminServer?.server.address() as AddressInfo;
  const port = await freePort();
  await writeFile(
    join(folder, 'prometheus.yml'),
    `global: { scrape_interval: 1s }
scrape_configs: [{ job_name: keyturn, static_configs: [{ targets: ['127.0.0.1:${target.port}'] }] }]`,
  );
  const args = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`];
  const prometheus = spawn('prometheus', [...args, `--web.listen-address=127.0.0.1:${port}`], { stdio: 'ignore' });
  const ended = new Promise((resolve) => prometheus.once('exit', resolve));
  t.teardown(async () => {
    prometheus.kill('SIGTERM');
    await ended;
  });

  async function ask(expr: string): Promise<{ value: [number, string] }[]> {
    const query = expr.replaceAll('$__rate_interval', '4s').replaceAll('$instance', '.*');
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/query`, {
      method: 'POST',
      body: new URLSearchParams({ query }),
    });
    const { status, error, data } = (await response.json()) as {
      status: string;
      error?: string;
      data: { result: { value: [number, string] }[] };
    };
    if (status !== 'success') throw new Error(`${expr}: ${error}`);
    return data.result;
  }
  await eventually(async () => (await ask('keyturn_ready').catch(() => [])).length > 0);
  const expressions = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })));
  t.ok(expressions.length > 25);
  // Rates show what came between two scrapes.
  const silent = new Set(expressions);
  await eventually(async () => {
    await live();
    for (const each of silent) {
      const result = await ask(each.expr);
      if (result.some(({ value: [, text] }) => Number.isFinite(Number(text)))) silent.delete(each);
    }
    return silent.size === 0;
  }, 20_000).catch(() => undefined);
  t.same([...silent], []);
});
