/**
 * `npm run bench [-- --json]`: how the built issuer fares beside bare fastify servers that do the same work, in one run
 * on one machine. Exit code 1 if any answer was not a good one.
 */
import { bench } from './bench.ts';
import { command } from './command.ts';
import { renderReport } from './report.ts';

await command('bench', bench, renderReport);
