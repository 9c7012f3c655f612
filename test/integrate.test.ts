/** docs/integrate.md: what it shows is what runs, and what it says to type works. Browsers: integrate-browser.test.ts. */
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { builtinModules } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { t as file, type Test, test } from 'tap';
import { createBrowser } from './support/browser.ts';
import { account, commands, type Example, page, type Setting, startSetting, withClient } from './support/examples.ts';
import { basic, post } from './support/issuer.ts';
import { signIn } from './support/people.ts';
import { eventually } from './support/process.ts';
import { project } from './support/project.ts';

const kinds = ['web-app', 'spa', 'native', 'machine', 'first-party'];
const sources = readdirSync(project('examples'), { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.js'),
);
const setting = await startSetting(file);

test('what the page shows is what stands in the examples, to the byte', async (t) => {
  const regions = new Map<string, string>();
  for (const name of sources) {
    const text = readFileSync(project(join('examples', name)), 'utf8');
    const found = [...text.matchAll(/^\/\/ #region (\S+)\n([\s\S]*?)^\/\/ #endregion$/gm)];
    for (const [, region, code = ''] of found) regions.set(`examples/${name}#${region}`, code);
  }
  const shown = [...page.matchAll(/^<!-- (\S+) -->\n```js\n([\s\S]*?)^```$/gm)];
  for (const [, source = '', code] of shown) t.equal(code, regions.get(source), source);
  t.same(shown.map(([, source]) => source).sort(), [...regions.keys()].sort(), 'every region is shown, once');
  t.equal(shown.length, page.match(/^```js$/gm)?.length, 'there is no code but theirs');
});

test('every command of the page is typed by these tests', async (t) => {
  const typed = [/resource add/, /user add/, /node examples\/api\//, /curl/];
  const ofKinds = kinds.flatMap((kind) => [/client add/, new RegExp(`node examples/${kind}/`)]);
  const expected = [...typed.slice(0, 3), ...ofKinds, ...typed.slice(3)];
  t.equal(commands.length, expected.length);
  for (const [at, pattern] of expected.entries()) t.match(commands[at], pattern);
});

test('an example can be copied: its package.json names what it uses, as it is installed here', async (t) => {
  const root = JSON.parse(readFileSync(project('package.json'), 'utf8'));
  const installed = { ...root.dependencies, ...root.devDependencies };
  t.same(readdirSync(project('examples')).sort(), ['README.md', 'api', ...kinds].sort());
  for (const folder of ['api', ...kinds]) {
    const named = JSON.parse(readFileSync(project(`examples/${folder}/package.json`), 'utf8'));
    for (const [name, version] of Object.entries(named.dependencies)) t.equal(version, installed[name], name);
    const used = new Set<string>();
    for (const source of sources.filter((name) => name.startsWith(`${folder}/`))) {
      const text = readFileSync(project(join('examples', source)), 'utf8');
      for (const [, from = ''] of text.matchAll(/(?:from|resolve\() ?'([^.'][^']*)'/g)) {
        if (!builtinModules.includes(from.replace('node:', ''))) {
          used.add(from.split('/', from.startsWith('@') ? 2 : 1).join('/'));
        }
      }
    }
    t.same([...used].sort(), Object.keys(named.dependencies).sort(), folder);
    const start = String(named.scripts.start).replace('node ', `node examples/${folder}/`);
    t.ok(
      commands.some((command) => command.endsWith(start)),
      start,
    );
  }
});

/** Status of a call to the API. */
async function ask(token: string, { api }: Setting = setting): Promise<number> {
  return (await fetch(`${api}/orders`, { headers: { authorization: `Bearer ${token}` } })).status;
}

/** Calls until the API refuses; milliseconds. */
const refused = (token: string) => eventually(async () => (await ask(token)) === 401, 5_000);

test('a machine reuses its token, gets another when that is revoked, and stops when it is disabled', async (t) => {
  const client = await setting.register('machine');
  const machine = await setting.start(t, 'machine', client);
  const calls = () =>
    machine
      .output()
      .split('\n')
      .filter((line) => line.startsWith('200 ')).length;
  await eventually(() => calls() >= 2);
  t.equal(tokensGiven(client.clientId), 1, 'one token for all calls');
  await setting.keyturn('revoke', '--client', client.clientId);
  await eventually(() => tokensGiven(client.clientId) === 2);
  const before = calls();
  await eventually(() => calls() > before);
  t.notMatch(machine.output(), /^401/m);

  await setting.keyturn('client', 'disable', client.clientId);
  t.equal(await machine.ended, 1);
  t.match(machine.output(), /the issuer refuses this client: /);
});

function tokensGiven(clientId: string): number {
  return setting.issuer.log.filter((line) => line.client === clientId && /token/.test(String(line.msg))).length;
}

test('a machine waits as long as it is told', async (t) => {
  const times: number[] = [];
  const busy = createServer((_request, response) => {
    times.push(performance.now());
    if (times.length === 1) response.writeHead(503, { 'retry-after': '1' }).end();
    else response.writeHead(200).end('{}');
  }).listen(0, 'localhost');
  t.teardown(() => busy.close().closeAllConnections());
  await new Promise((resolve) => busy.once('listening', resolve));
  const api = `http://localhost:${(busy.address() as AddressInfo).port}`;
  const machine = await setting.start(t, 'machine', await setting.register('machine'), { API: api });
  t.match(machine.output(), /^200 \{\}/, 'the 503 is not shown');
  const [first = 0, second = 0] = times;
  t.ok(second - first >= 990 && second - first < 5_000, `${second - first} ms`);
});

test('the API tells who may not, in the words of the page', async (t) => {
  const { clientId, clientSecret } = await setting.register('machine');
  const form = { grant_type: 'client_credentials' };
  const { json } = await post(setting.issuer, '/token', form, { authorization: basic(clientId, clientSecret) });
  const curl = commands.at(-1) ?? '';
  const { stdout } = await setting.type(curl, { TOKEN: json.access_token });
  t.match(stdout, /^HTTP\/1.1 403 /);
  const challenge = /answers 403 with `WWW-Authenticate: ([^`]+)`/.exec(page)?.[1] ?? 'nothing';
  t.ok(stdout.toLowerCase().includes(`www-authenticate: ${challenge.toLowerCase()}`), stdout);
  t.match((await setting.type(curl, { TOKEN: 'x' })).stdout, /^HTTP\/1.1 401 [\s\S]*error_description/);
  t.match(await (await fetch(`${setting.api}/orders`)).headers.get('www-authenticate'), /^Bearer/);
  t.equal(await ask(json.access_token), 200);
  const preflight = { origin: 'https://evil.example', 'access-control-request-method': 'GET' };
  const answer = await fetch(`${setting.api}/orders`, { method: 'OPTIONS', headers: preflight });
  t.not(answer.headers.get('access-control-allow-origin'), preflight.origin);
});

/** The address that a native app has shown. */
const shown = (app: Example) => new URL(/^ {2}(http\S+)$/m.exec(app.output())?.[1] ?? '');

const kept = () =>
  JSON.parse(readFileSync(join(setting.home, '.config/keyturn-native-example/tokens.json'), 'utf8')) as {
    accessToken: string;
    refreshToken: string;
  };

async function completeSignIn(t: Test, app: Example): Promise<void> {
  await eventually(() => /^ {2}http/m.test(app.output()));
  const url = shown(app);
  const redirectUri = url.searchParams.get('redirect_uri') ?? '';
  t.equal((await fetch(`${redirectUri}?code=x&state=guessed`)).status, 404, 'a stranger’s answer is not taken');
  const browser = createBrowser(setting.issuer, { sockets: true });
  const { left } = await signIn(browser, url.pathname + url.search, account);
  const back = await fetch(left as URL);
  t.match(await back.text(), /You can close this window/);
  t.equal(await app.ended, 0, app.output());
}

test('a native app signs in once, refreshes, and signs in again where its sign-in has ended', async (t) => {
  const client = await setting.register('native');
  const first = await setting.start(t, 'native', client);
  await completeSignIn(t, first);
  t.match(first.output(), /12 screws/);
  const again = withClient(commands.find((command) => command.includes('native/app.js')) ?? '', client);
  const run = (...args: string[]) => setting.type([again, ...args].join(' '));
  const calm = { code: 0, stdout: '3 apples\n1 umbrella\n12 screws, M4\n', stderr: '' };
  t.same(await run(), calm);

  const before = kept();
  await setting.keyturn('revoke', '--token', before.accessToken);
  t.ok((await refused(before.accessToken)) < 1_000, 'the API refuses it within a second');
  t.same(await run(), calm);
  t.not(kept().refreshToken, before.refreshToken);

  await setting.keyturn('user', 'sign-out', account.email);
  t.ok((await refused(kept().accessToken)) < 1_000);
  await completeSignIn(t, await setting.start(t, 'native', client));

  const { accessToken, refreshToken } = kept();
  t.match(await run('sign-out'), { code: 0, stdout: /signed out/ });
  t.ok((await refused(accessToken)) < 1_000);
  const form = { grant_type: 'refresh_token', refresh_token: refreshToken, client_id: client.clientId };
  t.match((await post(setting.issuer, '/token', form)).json, { error: 'invalid_grant' });
  t.throws(kept, { code: 'ENOENT' });
});
