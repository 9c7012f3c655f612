/** What docs/integrate.md tells an app's developer to type, typed: with an issuer of ours, and ports of our own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Test } from 'tap';
import { freePort, startIssuer, type TestIssuer, temporaryFolder } from './issuer.ts';
import { type Ended, eventually, keyturn } from './process.ts';
import { project } from './project.ts';

export const page = readFileSync(project('docs/integrate.md'), 'utf8');

/** Its commands, one for each block, in the order in which they stand there. */
export const commands = [...page.matchAll(/^```sh\n([\s\S]*?)\n```$/gm)].map(([, text = '']) => text);

/** Whom the page adds. */
export const account = { email: 'ada@example.org', password: 'turn the key twice' };

/** An example that runs. */
export interface Example extends Launched {
  /** Where it listens, if it does. */
  readonly url: string;
}

export interface Launched {
  readonly output: () => string;
  readonly ended: Promise<number | null>;
}

export interface Setting {
  readonly issuer: TestIssuer;
  /** Where the API listens. */
  readonly api: string;
  /** A home without anything in it. */
  readonly home: string;
  /** Adds the client of an example, by the line of the page. */
  register(name: string): Promise<Registered>;
  /** Starts an example by its line of the page, and waits until it says something. */
  start(t: Owner, name: string, client: Registered, env?: Record<string, string>): Promise<Example>;
  /** Types a line to its end. */
  type(command: string, env?: Record<string, string>): Promise<Ended>;
  /** Runs `keyturn`, and sees that it does what it is told. */
  keyturn(...args: string[]): Promise<string>;
}

export interface Registered {
  readonly clientId: string;
  readonly clientSecret: string;
}

interface Owner {
  teardown(undo: () => unknown): void;
}

/** The ports in the page; each run has others. */
const documented = { issuer: 3000, 'web-app': 3001, spa: 3002, 'first-party': 3003, api: 4000 };

/** An issuer with the API and the person that the page begins with. */
export async function startSetting(t: Test, settings: Record<string, string> = {}): Promise<Setting> {
  const issuer = await startIssuer(t, { listen: true, settings });
  const home = await temporaryFolder(t);
  const ports = { ...documented, issuer: Number(new URL(issuer.issuer).port) };
  for (const name of ['web-app', 'spa', 'first-party', 'api'] as const) ports[name] = await freePort();
  const urlOf = (name: string) => `http://localhost:${ports[name as keyof typeof ports] ?? 0}`;
  const base = {
    ...{ PATH: process.env.PATH ?? '', HOME: home, BROWSER: 'true' },
    ...{ DATABASE_URL: issuer.databaseUrl, KEYS_DIR: issuer.keysDir },
    ...{ ISSUER: issuer.issuer, API: urlOf('api'), SPA_ORIGIN: urlOf('spa') },
  };

  /** The line with what is different here. npx takes a second to find what is in this very folder. */
  function fillIn(command: string): string {
    const ported = Object.entries(documented).reduce(
      (text, [name, port]) => text.replaceAll(`localhost:${port}`, `localhost:${ports[name as keyof typeof ports]}`),
      command,
    );
    return ported
      .replace(/^npx keyturn|(?<=\| )npx keyturn/, 'node scripts/keyturn.js')
      .replace(/\bnode (?=examples)/, 'exec node ');
  }

  async function type(command: string, env = {}): Promise<Ended> {
    const child = spawnShell(fillIn(command), { ...base, ...env });
    const output = collect(child);
    const code = await endOf(child);
    return { code, ...output };
  }

  async function launch(owner: Owner, name: string, line: string, env = {}): Promise<Example> {
    const url = urlOf(name);
    const settings = { ...base, PORT: new URL(url).port, ...env };
    return { url, ...(await launchExample(owner, line, settings)) };
  }

  const lineOf = (pattern: RegExp) => {
    const found = commands.find((command) => pattern.test(command));
    if (found === undefined) throw new Error(`the page has no command like ${pattern}`);
    return found;
  };

  const startOf = (name: string) => lineOf(new RegExp(`node examples/${name}/`));

  for (const pattern of [/ resource add /, / user add /]) {
    const { code, stderr } = await type(lineOf(pattern));
    if (code !== 0) throw new Error(stderr);
  }
  await launch(t, 'api', fillIn(startOf('api')));

  return {
    ...{ issuer, home, type },
    api: urlOf('api'),
    async register(name) {
      const added = commands[commands.indexOf(startOf(name)) - 1] ?? '';
      const { code, stdout, stderr } = await type(added);
      if (code !== 0) throw new Error(stderr);
      await issuer.app.refresh();
      const clientId = /client_id +(\S+)/.exec(stdout)?.[1] ?? '';
      return { clientId, clientSecret: /client_secret +(\S+)/.exec(stdout)?.[1] ?? '' };
    },
    start: (owner, name, client, env) => launch(owner, name, withClient(fillIn(startOf(name)), client), env),
    async keyturn(...args) {
      const { code, stdout, stderr } = await keyturn(base, ...args);
      if (code !== 0) throw new Error(stderr);
      return stdout;
    },
  };
}

/** Starts the API or the web app of the examples by itself, with this environment. */
export function startExample(owner: Owner, name: 'api' | 'web-app', env: Record<string, string>): Promise<Launched> {
  return launchExample(owner, `exec node examples/${name}/app.js`, { PATH: process.env.PATH ?? '', ...env });
}

/** Resolves once it says something. */
async function launchExample(owner: Owner, line: string, env: Record<string, string>): Promise<Launched> {
  const child = spawnShell(line, env);
  const output = collect(child);
  const ended = endOf(child);
  owner.teardown(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  let over = false;
  void ended.then(() => {
    over = true;
  });
  await eventually(() => over || output.stdout !== '');
  if (over && output.stdout === '') throw new Error(`it ended: ${output.stderr}`);
  return { output: () => output.stdout + output.stderr, ended };
}

/** A line of the page with the client's own id and secret. */
export function withClient(line: string, { clientId, clientSecret }: Registered): string {
  return line.replace(/\bclient_\w{16}/, clientId).replace(/\bktcs_[\w-]+/, clientSecret);
}

/** A shell of its own in the checkout, without what tap adds to every process. */
function spawnShell(line: string, env: Record<string, string>): ChildProcess {
  return spawn('sh', ['-c', line], { cwd: project('.'), env, stdio: ['ignore', 'pipe', 'pipe'] });
}

function collect(child: ChildProcess): { stdout: string; stderr: string } {
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text;
    });
  }
  return output;
}

function endOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once('close', resolve));
}
