/** Counts what each step asks of Postgres: an issuer in this process tells of every statement before it is sent. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { createApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import type { IssuerSite } from './issuer.ts';
import { load, repeated, requestBytes, type Step } from './load.ts';
import { type Registered, tokenRequest } from './registration.ts';
import { median } from './rounds.ts';
import { createBrowser, createCodeFlow, refreshes } from './walks.ts';

const migrations = fileURLToPath(new URL(join('..', '..', '..', 'prisma', 'migrations'), import.meta.url));

/** A step is counted so many times: what the issuer asks by itself every second then falls out of the median. */
const times = 9;

/** Statements of one request each. */
export interface Statements {
  readonly signIn: number;
  /** With a live session. */
  readonly authorize: number;
  readonly redeem: number;
  readonly refresh: number;
  readonly clientCredentials: number;
}

/** Counts on the site's database and port; no other issuer may run there. */
export async function countStatements(site: IssuerSite, registered: Registered): Promise<Statements> {
  const settings = { ISSUER: site.issuer, HOST: '127.0.0.1', PORT: String(site.port), KEYS_DIR: site.keysDir };
  const result = readConfig(settings, { cwd: site.folder });
  if (!result.ok) throw new Error(result.mistakes.join('\n'));
  let sent = 0;
  const app = await createApp({
    config: result.config,
    databaseUrl: site.databaseUrl,
    log: pino({ level: 'silent' }),
    version: 'bench',
    migrations,
    onStatement: () => {
      sent += 1;
    },
  });
  try {
    await app.start();
    await app.server.listen({ host: '127.0.0.1', port: site.port });
    return await countSteps(site, registered, () => sent);
  } finally {
    await app.close();
  }
}

async function countSteps(
  { issuer, port }: IssuerSite,
  { machine, webApp, mobileApp, person }: Registered,
  sent: () => number,
): Promise<Statements> {
  const counts = new Map<Step, number[]>();

  /** Goes the steps one by one, each counted by itself. */
  async function go(...steps: readonly (Step | undefined)[]): Promise<void> {
    for (const step of steps as readonly Step[]) {
      const before = sent();
      await load(port, [[step]], 0);
      counts.set(step, [...(counts.get(step) ?? []), sent() - before]);
    }
  }
  const countOf = (step: Step | undefined) => median(counts.get(step as Step) ?? []);

  const browser = createBrowser(issuer, webApp, person);
  const flow = createCodeFlow(webApp, browser);
  const mobileFlow = createCodeFlow(mobileApp, browser);
  await go(browser.openPage, browser.signIn, mobileFlow.authorize, mobileFlow.redeem);
  const [refresh] = refreshes(mobileApp, mobileFlow.refreshToken());
  const { headers, body } = tokenRequest(machine, 'ES256');
  const [clientCredentials] = repeated(requestBytes('POST', '/token', headers, body));
  for (let time = 0; time < times; time += 1) {
    await go(browser.signIn, flow.authorize, flow.redeem, refresh, clientCredentials);
  }
  return {
    signIn: countOf(browser.signIn),
    authorize: countOf(flow.authorize),
    redeem: countOf(flow.redeem),
    refresh: countOf(refresh),
    clientCredentials: countOf(clientCredentials),
  };
}
