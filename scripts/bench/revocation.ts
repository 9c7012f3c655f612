/**
 * `npm run bench:revocation [-- --json]`: how long after the answer of `/revoke` every verifier refuses a token, by the stream
 * and without it, and what a long denylist costs. Exit code 1 if a good token was refused, or a revoked one was not.
 */
import { command } from './command.ts';
import { benchRevocation } from './revocation-bench.ts';
import { renderRevocationReport } from './revocation-report.ts';

await command('bench:revocation', benchRevocation, renderRevocationReport);
