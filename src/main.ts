/** The process: environment, signals, exit codes, and the words at the start. The only file that touches `process`. */
import cluster from 'node:cluster';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:https';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseEnv } from 'node:util';
import { type Logger, pino } from 'pino';
import { type App, createApp } from './app.ts';
import { type Config, readConfig } from './config.ts';
import { CertificateError, readCertificate, watchCertificate } from './http/tls.ts';
import { KeyEncryptionKeyError } from './keys/key-encryption-keys.ts';
import { type Logo, readLogo } from './login/pages/index.ts';
import { startMessage } from './start-message.ts';
import { DatabaseError } from './store/database-errors.ts';
import { type EmbeddedPostgres, EmbeddedPostgresError, startEmbeddedPostgres } from './store/embedded/index.ts';
import { readTraceSettings, type TraceSettings } from './telemetry/standard-variables.ts';
import type { Tracing } from './telemetry/tracing.ts';
import { startWorkers, type Workers, started as workerStarted } from './workers.ts';

/** The package's folder: two above `dist/src`, or one above `src` itself, from which `npm run dev` runs. */
const packageFolder = resolve(import.meta.dirname, import.meta.filename.endsWith('.ts') ? '..' : '../..');

/** Milliseconds that a stop waits for the rest of the world; container runtimes lose patience after ten seconds. */
const stopTimeout = 8_000;

/** Milliseconds of them that the last traces may take. */
const traceTimeout = 1_000;

/** Nobody logs headers; should one come along with something else, it goes no further. */
const serializers = { headers: () => '…', authorization: () => '…', cookie: () => '…' };

/** Exit codes: 1, something outside stands in the way; 2, the configuration is wrong. */
function exit(code: 1 | 2, lines: readonly string[]): never {
  for (const line of lines) process.stderr.write(`keyturn: ${line}\n`);
  process.exit(code);
}

/** The text of a file, undefined where there is none. */
function readIfPresent(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    return exit(2, [`${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`]);
  }
}

/** The picture of BRAND_LOGO, if one is named. */
function readBrandLogo({ brandLogo }: Config): Logo | undefined {
  if (brandLogo === undefined) return undefined;
  try {
    const logo = readLogo(readFileSync(brandLogo));
    return typeof logo === 'string' ? exit(2, [`BRAND_LOGO ${brandLogo} does not serve: ${logo}`]) : logo;
  } catch (error) {
    return exit(2, [`BRAND_LOGO ${brandLogo} cannot be read: ${(error as NodeJS.ErrnoException).code}`]);
  }
}

function configure(): Config {
  const dotenv = readIfPresent('.env');
  // What is not ours to read is read from the environment alone, and wins there.
  for (const [name, value] of Object.entries(parseEnv(dotenv ?? ''))) {
    if (name.startsWith('OTEL_')) process.env[name] ??= value;
  }
  const result = readConfig(process.env, { cwd: process.cwd(), ...(dotenv !== undefined && { dotenv }) });
  return result.ok ? result.config : exit(2, result.mistakes);
}

/** Traces, where OpenTelemetry's standard variables want them; its packages are loaded then alone. */
async function trace(version: string, log: Logger): Promise<Tracing | undefined> {
  let settings: TraceSettings | undefined;
  try {
    settings = readTraceSettings(process.env);
  } catch (error) {
    return exit(2, [(error as Error).message]);
  }
  if (settings === undefined) return undefined;
  const { startTracing } = await import('./telemetry/tracing.ts');
  return startTracing({ ...settings, version, onTrouble: (message) => log.warn(message) });
}

/** What a person can do something about is one line; anything else is a mistake of ours and shows where. */
function explain(error: unknown, { host, port }: Config): string {
  const { message, stack, syscall } = error as NodeJS.ErrnoException;
  const known = [CertificateError, DatabaseError, EmbeddedPostgresError, KeyEncryptionKeyError].some(
    (kind) => error instanceof kind,
  );
  if (known) return message;
  if (syscall === 'listen' || syscall === 'getaddrinfo') {
    return `cannot listen on ${host}, port ${port} (HOST, PORT): ${message.replace(/^listen /, '')}`;
  }
  return stack ?? message;
}

async function main(): Promise<void> {
  const config = configure();
  const logo = readBrandLogo(config);
  const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as { version: string };
  const destination = pino.destination({ dest: 2, sync: false, minLength: 4096, periodicFlush: 200 });
  const log = pino({ level: config.logLevel, serializers }, destination);

  const files =
    config.tlsCert === undefined || config.tlsKey === undefined
      ? undefined
      : { cert: config.tlsCert, key: config.tlsKey };

  let embedded: EmbeddedPostgres | undefined;
  let app: App | undefined;
  let workers: Workers | undefined;
  let tracing: Tracing | undefined;
  let stopping = false;

  async function start(): Promise<void> {
    const certificate = files && (await readCertificate(files));
    if (config.databaseUrl === undefined) {
      embedded = await startEmbeddedPostgres({ dataDir: config.dataDir, log: (line) => log.debug(line) });
      void embedded.exited.then((reason) => {
        if (!stopping) log.fatal(reason);
        void stop(1, 'the embedded Postgres has ended');
      });
    }
    if (stopping) return;
    const databaseUrl = config.databaseUrl ?? (embedded as EmbeddedPostgres).url;
    if (config.workers > 1 && cluster.isPrimary) {
      const { adminPort, workers: count } = config;
      workers = startWorkers({
        count,
        // Each has metrics of its own, so a port of its own for them.
        environment: (number) => ({
          DATABASE_URL: databaseUrl,
          ...(adminPort && { ADMIN_PORT: String(adminPort + number - 1) }),
        }),
        log,
        onRefused: (code) => void stop(code === 2 ? 2 : 1, 'no worker could start'),
      });
      return;
    }
    tracing = await trace(version, log);
    app = await createApp({
      config,
      databaseUrl,
      log,
      version,
      migrations: join(packageFolder, 'prisma', 'migrations'),
      certificate,
      tracing,
      ...(logo && { logo }),
    });
    if (stopping) return;
    for (const { server } of [app.server, app.adminServer].filter((one) => one !== undefined)) {
      if (files && certificate) watchCertificate(server as Server, files, certificate, log);
    }
    await app.server.listen({ host: config.host, port: config.port });
    await app.adminServer?.listen({ host: config.adminHost, port: config.adminPort ?? 0 });
    await app.start();
    const { server, adminServer, keyring, databaseAddress } = app;
    const addresses = server.addresses();
    const adminAddresses = adminServer?.addresses() ?? [];
    process.send?.(workerStarted);
    if (cluster.isWorker && cluster.worker?.id !== 1) return;
    process.stdout.write(
      startMessage({ config, version, embedded, databaseAddress, addresses, adminAddresses, keyring }),
    );
  }

  /** Lets requests finish, then the database. Again is nothing: the time it takes is bounded. */
  async function stop(code: 0 | 1 | 2, reason: string): Promise<void> {
    if (stopping) return;
    stopping = true;
    log.info({ reason }, 'stopping');
    await close();
    process.exit(code);
  }

  async function close(): Promise<void> {
    // A start under way must not bring up what is being taken down.
    const closed = Promise.all([workers?.stop(), app?.close(), starting.catch(() => undefined)]);
    const late = delay(stopTimeout).then(() => log.warn('not all is closed: leaving it'));
    await Promise.race([closed, late]).catch((err) => log.error({ err }, 'while closing'));
    await tracing?.close(traceTimeout);
    await embedded?.stop().catch((err) => log.error({ err }, 'while stopping Postgres'));
    destination.flushSync();
  }

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop(0, signal));
  process.on('uncaughtException', (err) => {
    log.fatal({ err }, 'a mistake of ours: stopping');
    destination.flushSync();
    if (stopping) process.exit(1);
    void stop(1, 'uncaught exception');
  });

  const starting = start();
  try {
    await starting;
  } catch (error) {
    if (stopping) return;
    stopping = true;
    await close();
    exit(1, [explain(error, config)]);
  }
}

await main();
