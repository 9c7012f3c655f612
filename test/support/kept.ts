import type { Kept } from '../../src/store/house-keeping.ts';

/** What house-keeping leaves where nothing is set. */
export const kept: Kept = { auditRetention: 365 * 86_400 };
