#!/usr/bin/env node
// The command `keyturn`: runs what the build has made of scripts/cli.
import { existsSync } from 'node:fs';

const cli = new URL('../dist/scripts/cli/main.js', import.meta.url);
if (existsSync(cli)) {
  await import(cli.href);
} else {
  process.stderr.write('keyturn: not built yet: run npm start or npm run build first\n');
  process.exitCode = 1;
}
