/**
 * A process that holds the embedded Postgres of the folder it is given, as an issuer does: it prints one line of JSON
 * (what started, or the error), and stops at SIGTERM.
 */
import { startEmbeddedPostgres } from '../../src/store/embedded/index.ts';

function say(what: object): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

try {
  const { url, folder, version, stop, exited } = await startEmbeddedPostgres({
    dataDir: process.argv[2] ?? '',
    log: () => {},
  });
  process.once('SIGTERM', () => void stop().then(() => process.exit(0)));
  void exited.then((reason) => {
    say({ exited: reason });
    process.exit(3);
  });
  say({ url, folder, version });
} catch (error) {
  say({ name: (error as Error).name, error: (error as Error).message });
  process.exit(1);
}
