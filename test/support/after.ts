/** Runs after all tests: nothing of this run stays, no server, no folder, no database. */
import { removeRuns } from './run.ts';

await removeRuns();
