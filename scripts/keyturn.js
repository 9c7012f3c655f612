#!/usr/bin/env node
// The command `keyturn`: runs what the build has made of scripts/cli.
import { existsSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';

// A command lives shorter than it takes to compile Prisma's WebAssembly a second time, and better: that was a quarter
// of its processor time.
setFlagsFromString('--liftoff-only');

const cli = new URL('../dist/scripts/cli/main.js', import.meta.url);
if (existsSync(cli)) {
  await import(cli.href);
} else {
  process.stderr.write('keyturn: not built yet: run npm start or npm run build first\n');
  process.exitCode = 1;
}
