import { type Inspection, inspectTokenBy } from '../tokens/inspect.ts';
import { type AdminContext, AdminError } from './context.ts';

export interface InspectionDocument extends Inspection {
  /** Whether every finding is. */
  readonly good: boolean;
}

/** Explains a token, and says whether it is good: signature, key, times, denylist. Throws `invalid` for what is no JWT. */
export async function inspect(context: AdminContext, token: string): Promise<InspectionDocument> {
  const inspection = await inspectTokenBy(context.database, token, context);
  if (inspection === undefined) {
    throw new AdminError(
      'invalid',
      'that is not a JWT: it needs three base64url parts with dots between, the first two JSON objects',
    );
  }
  return { good: inspection.findings.every(({ good }) => good), ...inspection };
}
